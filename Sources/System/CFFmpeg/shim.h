#ifndef POSTERN_CFFMPEG_SHIM_H
#define POSTERN_CFFMPEG_SHIM_H

#include <errno.h>
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/avutil.h>
#include <libavutil/channel_layout.h>
#include <libavutil/dict.h>
#include <libavutil/display.h>
#include <libavutil/error.h>
#include <libavutil/imgutils.h>
#include <libavutil/intreadwrite.h>
#include <libavutil/log.h>
#include <libavutil/mathematics.h>
#include <libavutil/pixdesc.h>
#include <libswresample/swresample.h>
#include <libswscale/swscale.h>
#include <stdio.h>
#include <string.h>

// What Swift cannot import (macros, varargs) and what changed its shape between FFmpeg 5.1 and 7 lives here.

static const int postern_averror_eof = AVERROR_EOF;
static const int postern_averror_again = AVERROR(EAGAIN);
static const int postern_averror_invalid = AVERROR_INVALIDDATA;
static const int64_t postern_av_nopts = AV_NOPTS_VALUE;

// Log lines: FFmpeg would write them to stderr. The receiver is defined in Swift (FFmpegLog).

extern void postern_ffmpeg_log_line(int level, const char *line);

static inline void postern_ffmpeg_log(void *context, int level, const char *format, va_list arguments) {
    if (level > AV_LOG_ERROR) return;
    char text[512];
    size_t used = 0;
    const AVClass *class = context ? *(AVClass **)context : NULL;
    if (class && class->item_name) {
        int n = snprintf(text, sizeof text, "%s: ", class->item_name(context));
        if (n > 0) used = (size_t)n < sizeof text ? (size_t)n : sizeof text - 1;
    }
    vsnprintf(text + used, sizeof text - used, format, arguments);
    postern_ffmpeg_log_line(level, text);
}

static inline void postern_ffmpeg_install_log(void) { av_log_set_callback(postern_ffmpeg_log); }

// A timestamp in nanoseconds; INT64_MIN where there is none or it does not fit.
static inline int64_t postern_av_nanoseconds(int64_t value, AVRational base) {
    if (value == AV_NOPTS_VALUE || base.num <= 0 || base.den <= 0) return INT64_MIN;
    return av_rescale_q(value, base, (AVRational){1, 1000000000});
}

static inline int64_t postern_av_frame_duration(const AVFrame *frame) {
#if LIBAVUTIL_VERSION_INT >= AV_VERSION_INT(57, 30, 100)
    return frame->duration;
#else
    return frame->pkt_duration;
#endif
}

// Samples at the start of a packet's output that are not to be presented (codec delay).
static inline uint32_t postern_av_skipped_samples(const AVPacket *packet) {
    size_t size = 0;
    const uint8_t *data = av_packet_get_side_data(packet, AV_PKT_DATA_SKIP_SAMPLES, &size);
    return data && size >= 4 ? AV_RL32(data) : 0;
}

// Degrees by which pictures are to be turned clockwise to stand upright: 0, 90, 180 or 270.
static inline int postern_av_rotation(const AVStream *stream) {
    const int32_t *matrix = NULL;
#if LIBAVCODEC_VERSION_INT >= AV_VERSION_INT(60, 31, 102)
    const AVPacketSideData *data = av_packet_side_data_get(
        stream->codecpar->coded_side_data, stream->codecpar->nb_coded_side_data, AV_PKT_DATA_DISPLAYMATRIX);
    if (data && data->size >= 36) matrix = (const int32_t *)data->data;
#else
    size_t size = 0;
    const uint8_t *data = av_stream_get_side_data(stream, AV_PKT_DATA_DISPLAYMATRIX, &size);
    if (data && size >= 36) matrix = (const int32_t *)data;
#endif
    if (!matrix) return 0;
    double angle = -av_display_rotation_get(matrix);
    if (!(angle >= -360 && angle <= 360)) return 0;
    int quarter = (int)(angle / 90 + (angle < 0 ? -0.5 : 0.5));
    return ((quarter % 4 + 4) % 4) * 90;
}

// Whether the frame can be copied as it is: planar 4:2:0 in the limited range.
static inline int postern_av_is_i420(const AVFrame *frame) {
    return frame->format == AV_PIX_FMT_YUV420P && frame->color_range != AVCOL_RANGE_JPEG;
}

static inline void postern_av_copy_i420(const AVFrame *frame, uint8_t *const planes[3], const int strides[3], int width, int height) {
    for (int plane = 0; plane < 3; plane++) {
        int shift = plane ? 1 : 0;
        for (int y = 0; y < height >> shift; y++)
            memcpy(planes[plane] + (ptrdiff_t)y * strides[plane],
                   frame->data[plane] + (ptrdiff_t)y * frame->linesize[plane], (size_t)(width >> shift));
    }
}

// A scaler from the frame's format and size to limited range I420 of the given size. `previous` is reused if it fits.
static inline void *postern_av_scaler(void *previous, const AVFrame *frame, int width, int height) {
    enum AVPixelFormat format = (enum AVPixelFormat)frame->format;
    int full = frame->color_range == AVCOL_RANGE_JPEG;
    // The yuvj formats are the deprecated way to say full range; swscale complains of them.
    switch (format) {
    case AV_PIX_FMT_YUVJ420P: format = AV_PIX_FMT_YUV420P; full = 1; break;
    case AV_PIX_FMT_YUVJ422P: format = AV_PIX_FMT_YUV422P; full = 1; break;
    case AV_PIX_FMT_YUVJ444P: format = AV_PIX_FMT_YUV444P; full = 1; break;
    case AV_PIX_FMT_YUVJ440P: format = AV_PIX_FMT_YUV440P; full = 1; break;
    case AV_PIX_FMT_YUVJ411P: format = AV_PIX_FMT_YUV411P; full = 1; break;
    default: break;
    }
    const AVPixFmtDescriptor *description = av_pix_fmt_desc_get(format);
    if (!description) return NULL;
    if (description->flags & AV_PIX_FMT_FLAG_RGB) full = 1;
    struct SwsContext *scaler = sws_getCachedContext(
        (struct SwsContext *)previous, frame->width, frame->height, format, width, height, AV_PIX_FMT_YUV420P,
        SWS_BILINEAR, NULL, NULL, NULL);
    if (!scaler) return NULL;
    const int *coefficients = sws_getCoefficients(SWS_CS_ITU601);
    sws_setColorspaceDetails(scaler, coefficients, full, coefficients, 0, 0, 1 << 16, 1 << 16);
    return scaler;
}

// Scales into tightly packed planes. By way of an aligned picture: swscale's vector code may write behind a row's end.
static inline int postern_av_scale(
    void *scaler, const AVFrame *frame, uint8_t *const planes[3], const int strides[3], int width, int height) {
    uint8_t *aligned[4];
    int steps[4];
    if (av_image_alloc(aligned, steps, width, height, AV_PIX_FMT_YUV420P, 64) < 0) return -1;
    int result = sws_scale(
        (struct SwsContext *)scaler, (const uint8_t *const *)frame->data, frame->linesize, 0, frame->height, aligned,
        steps);
    for (int plane = 0; plane < 3 && result > 0; plane++) {
        int shift = plane ? 1 : 0;
        av_image_copy_plane(
            planes[plane], strides[plane], aligned[plane], steps[plane], width >> shift, height >> shift);
    }
    av_freep(&aligned[0]);
    return result;
}

static inline void postern_av_free_scaler(void *scaler) { sws_freeContext((struct SwsContext *)scaler); }

// A resampler from the frame's format, layout and rate to interleaved floats; NULL where that is not possible.
static inline void *postern_av_resampler(const AVFrame *frame, int channels, int rate) {
    AVChannelLayout in, out;
    memset(&in, 0, sizeof in);
    memset(&out, 0, sizeof out);
    if (frame->ch_layout.order == AV_CHANNEL_ORDER_UNSPEC) {
        av_channel_layout_default(&in, frame->ch_layout.nb_channels);
    } else if (av_channel_layout_copy(&in, &frame->ch_layout) < 0) {
        return NULL;
    }
    av_channel_layout_default(&out, channels);
    struct SwrContext *resampler = NULL;
    int result = swr_alloc_set_opts2(
        &resampler, &out, AV_SAMPLE_FMT_FLT, rate, &in, (enum AVSampleFormat)frame->format, frame->sample_rate, 0, NULL);
    if (result >= 0) result = swr_init(resampler);
    if (result < 0) swr_free(&resampler);
    av_channel_layout_uninit(&in);
    av_channel_layout_uninit(&out);
    return resampler;
}

// Samples a channel that the next call can give at most.
static inline int postern_av_resampler_room(void *resampler, int samples) {
    return swr_get_out_samples((struct SwrContext *)resampler, samples);
}

// Converts a frame, or with NULL what the resampler still holds. Returns samples a channel, or an error.
static inline int postern_av_resample(void *resampler, const AVFrame *frame, float *out, int room) {
    uint8_t *planes[1] = {(uint8_t *)out};
    return swr_convert(
        (struct SwrContext *)resampler, planes, room, frame ? (const uint8_t **)frame->extended_data : NULL,
        frame ? frame->nb_samples : 0);
}

static inline void postern_av_free_resampler(void *resampler) {
    struct SwrContext *context = (struct SwrContext *)resampler;
    swr_free(&context);
}

#if __has_include("shim-recording.h")
#include "shim-recording.h"
#endif

#endif
