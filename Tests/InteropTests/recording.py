"""What is in a recording, by ffprobe."""
import json
import subprocess


def probe(path):
    """Per kind: codec, packets, start, end and the longest step between neighbours, in seconds."""
    text = subprocess.run(
        ["ffprobe", "-v", "error", "-show_entries", "stream=index,codec_type,codec_name,width,height,channels:"
         "packet=stream_index,pts_time,duration_time", "-of", "json", path],
        capture_output=True, text=True, timeout=60)
    if text.returncode != 0:
        raise RuntimeError("ffprobe: " + text.stderr.strip()[-200:])
    data = json.loads(text.stdout)
    tracks = {}
    for stream in data["streams"]:
        times = sorted(float(p["pts_time"]) for p in data.get("packets", [])
                       if p["stream_index"] == stream["index"] and "pts_time" in p)
        steps = [b - a for a, b in zip(times, times[1:])]
        tracks[stream["codec_type"]] = {
            "codec": stream["codec_name"], "packets": len(times), "start": times[0] if times else None,
            "end": times[-1] if times else None, "gap": max(steps, default=0.0),
            "width": stream.get("width"), "height": stream.get("height"), "channels": stream.get("channels")}
    return tracks


def decoding_errors(path):
    """Decodes all of it; what the decoder complained of."""
    text = subprocess.run(["ffmpeg", "-v", "error", "-i", path, "-fps_mode", "passthrough", "-f", "null", "-"], capture_output=True, text=True,
                          timeout=120)
    # The null muxer's own clock is coarser than a recording's; what it says of equal times is not about the file.
    return [line for line in text.stderr.splitlines() if line.strip() and "non monotonically" not in line]


def loudness(path):
    """Mean volume in dB of the audio track, None where there is none."""
    text = subprocess.run(["ffmpeg", "-i", path, "-vn", "-af", "volumedetect", "-f", "null", "-"], capture_output=True,
                          text=True, timeout=120)
    for line in text.stderr.splitlines():
        if "max_volume:" in line:
            return float(line.split("max_volume:")[1].split()[0])
    return None
