"""What is in a recording, for the eye and the ear: Chromium's fake camera is a green picture in which a wheel turns, its
fake microphone beeps."""
import array
import subprocess

WIDTH, HEIGHT, RATE = 64, 48, 4


def pictures(path):
    """RGB frames of 64x48, four a second."""
    raw = subprocess.run(
        ["ffmpeg", "-v", "error", "-i", path, "-an", "-vf", f"fps={RATE},scale={WIDTH}:{HEIGHT}", "-pix_fmt", "rgb24",
         "-f", "rawvideo", "-"], capture_output=True, timeout=120).stdout
    size = WIDTH * HEIGHT * 3
    return [raw[at:at + size] for at in range(0, len(raw) - size + 1, size)]


def greenness(frames):
    """The share of pixels in which green is far above red and blue."""
    green = total = 0
    for frame in frames:
        for at in range(0, len(frame), 3):
            red, middle, blue = frame[at], frame[at + 1], frame[at + 2]
            green += middle > 60 and middle > 1.5 * red and middle > 1.5 * blue
        total += len(frame) // 3
    return green / max(total, 1)


def motion(frames):
    """The share of steps between neighbouring frames in which something moves."""
    moved = 0
    for before, after in zip(frames, frames[1:]):
        different = sum(abs(a - b) > 24 for a, b in zip(before[1::3], after[1::3]))
        moved += different > WIDTH * HEIGHT // 400
    return moved / max(len(frames) - 1, 1)


def beeps(path):
    """How many times a second silence gives way to sound, and the length in seconds."""
    raw = subprocess.run(["ffmpeg", "-v", "error", "-i", path, "-vn", "-ac", "1", "-ar", "8000", "-f", "s16le", "-"],
                         capture_output=True, timeout=120).stdout
    samples = array.array("h", raw[:len(raw) // 2 * 2])
    step = 160  # 20 ms
    levels = [max(map(abs, samples[at:at + step]), default=0) for at in range(0, len(samples) - step + 1, step)]
    if not levels:
        return 0, 0
    loud = max(levels) / 4
    count = sum(1 for before, after in zip(levels, levels[1:]) if after > loud >= before) if max(levels) > 500 else 0
    return count / (len(levels) * 0.02), len(levels) * 0.02


def describe(path):
    frames = pictures(path)
    rate, length = beeps(path)
    return {"frames": len(frames), "green": greenness(frames), "motion": motion(frames), "beeps": rate, "seconds": length}


def holds_fake_device(found):
    """Whether `describe` speaks of Chromium's fake camera and microphone."""
    return found["green"] > 0.8 and found["motion"] > 0.6 and 1.7 < found["beeps"] < 2.3
