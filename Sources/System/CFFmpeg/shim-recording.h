#ifndef POSTERN_CFFMPEG_SHIM_RECORDING_H
#define POSTERN_CFFMPEG_SHIM_RECORDING_H

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/channel_layout.h>
#include <libavutil/mathematics.h>
#include <libavutil/opt.h>
#include <libswscale/swscale.h>
#include <string.h>

// A muxer that copies packets and writes through two functions of its owner, so that the owner sees every error number.
// Every function returns zero or more, or a negative AVERROR. It builds with FFmpeg 5.1 to 7.

typedef int (*postern_mux_write_function)(void *owner, const uint8_t *bytes, int count);
typedef int64_t (*postern_mux_seek_function)(void *owner, int64_t offset, int whence);

enum { postern_mux_streams = 4, postern_mux_buffer = 1 << 16, postern_mux_seek_size = AVSEEK_SIZE };

typedef struct PosternMuxer {
    AVFormatContext *context;
    AVIOContext *io;
    AVPacket *packet;
    void *owner;
    postern_mux_write_function write;
    postern_mux_seek_function seek;
    // What the muxer adds to a stream's timestamps by itself, in samples at 48 kHz and in the stream's time base.
    int lead_samples[postern_mux_streams];
    int64_t lead[postern_mux_streams];
    int has_header;
} PosternMuxer;

#if LIBAVFORMAT_VERSION_MAJOR >= 61
static inline int postern_mux_io_write(void *opaque, const uint8_t *bytes, int count) {
#else
static inline int postern_mux_io_write(void *opaque, uint8_t *bytes, int count) {
#endif
    PosternMuxer *muxer = (PosternMuxer *)opaque;
    return muxer->write(muxer->owner, bytes, count);
}

static inline int64_t postern_mux_io_seek(void *opaque, int64_t offset, int whence) {
    PosternMuxer *muxer = (PosternMuxer *)opaque;
    return muxer->seek(muxer->owner, offset, whence & ~AVSEEK_FORCE);
}

// Frees everything and writes nothing.
static inline void postern_mux_close(PosternMuxer *muxer) {
    if (!muxer) return;
    if (muxer->context) {
        muxer->context->pb = NULL;
        avformat_free_context(muxer->context);
    }
    if (muxer->io) {
        av_freep(&muxer->io->buffer);
        avio_context_free(&muxer->io);
    }
    av_packet_free(&muxer->packet);
    av_free(muxer);
}

// NULL where the format is not known to this FFmpeg. `seek` is NULL for a pipe.
static inline PosternMuxer *postern_mux_open(
    const char *format, void *owner, postern_mux_write_function write, postern_mux_seek_function seek) {
    PosternMuxer *muxer = (PosternMuxer *)av_mallocz(sizeof *muxer);
    if (!muxer) return NULL;
    muxer->owner = owner;
    muxer->write = write;
    muxer->seek = seek;
    muxer->packet = av_packet_alloc();
    uint8_t *buffer = (uint8_t *)av_malloc(postern_mux_buffer);
    if (buffer)
        muxer->io = avio_alloc_context(
            buffer, postern_mux_buffer, 1, muxer, NULL, postern_mux_io_write, seek ? postern_mux_io_seek : NULL);
    if (!muxer->io) av_free(buffer);
    if (!muxer->packet || !muxer->io || avformat_alloc_output_context2(&muxer->context, NULL, format, NULL) < 0) {
        postern_mux_close(muxer);
        return NULL;
    }
    muxer->context->pb = muxer->io;
    muxer->context->flags |= AVFMT_FLAG_CUSTOM_IO;
    muxer->context->avoid_negative_ts = AVFMT_AVOID_NEG_TS_DISABLED;
    av_dict_set(&muxer->context->metadata, "encoding_tool", "Postern", 0);
    return muxer;
}

static inline AVStream *postern_mux_stream(PosternMuxer *muxer, enum AVMediaType type, enum AVCodecID codec) {
    if (muxer->context->nb_streams >= postern_mux_streams) return NULL;
    AVStream *stream = avformat_new_stream(muxer->context, NULL);
    if (!stream) return NULL;
    stream->codecpar->codec_type = type;
    stream->codecpar->codec_id = codec;
    return stream;
}

// Opus with the identification header of RFC 7845 section 5.1 as its private data.
// `lead` are samples that the muxer will add to the timestamps, see below.
static inline int postern_mux_add_opus(PosternMuxer *muxer, int channels, int pre_skip, int lead) {
    AVStream *stream = postern_mux_stream(muxer, AVMEDIA_TYPE_AUDIO, AV_CODEC_ID_OPUS);
    if (!stream) return AVERROR(ENOMEM);
    AVCodecParameters *parameters = stream->codecpar;
    parameters->sample_rate = 48000;
    parameters->initial_padding = pre_skip;
    parameters->seek_preroll = 3840;
    av_channel_layout_default(&parameters->ch_layout, channels);
    const uint8_t head[19] = {'O', 'p', 'u', 's', 'H', 'e', 'a', 'd', 1, (uint8_t)channels,
                              (uint8_t)pre_skip, (uint8_t)(pre_skip >> 8), 0x80, 0xBB, 0, 0, 0, 0, 0};
    parameters->extradata = (uint8_t *)av_mallocz(sizeof head + AV_INPUT_BUFFER_PADDING_SIZE);
    if (!parameters->extradata) return AVERROR(ENOMEM);
    memcpy(parameters->extradata, head, sizeof head);
    parameters->extradata_size = sizeof head;
    stream->time_base = (AVRational){1, 48000};
    muxer->lead_samples[stream->index] = lead;
    return stream->index;
}

static inline int postern_mux_add_g711(PosternMuxer *muxer, int is_a_law) {
    AVStream *stream = postern_mux_stream(
        muxer, AVMEDIA_TYPE_AUDIO, is_a_law ? AV_CODEC_ID_PCM_ALAW : AV_CODEC_ID_PCM_MULAW);
    if (!stream) return AVERROR(ENOMEM);
    stream->codecpar->sample_rate = 8000;
    stream->codecpar->bits_per_coded_sample = 8;
    stream->codecpar->block_align = 1;
    stream->codecpar->bit_rate = 64000;
    av_channel_layout_default(&stream->codecpar->ch_layout, 1);
    stream->time_base = (AVRational){1, 8000};
    return stream->index;
}

static inline int postern_mux_add_vp8(PosternMuxer *muxer, int width, int height) {
    AVStream *stream = postern_mux_stream(muxer, AVMEDIA_TYPE_VIDEO, AV_CODEC_ID_VP8);
    if (!stream) return AVERROR(ENOMEM);
    stream->codecpar->width = width;
    stream->codecpar->height = height;
    stream->time_base = (AVRational){1, 90000};
    return stream->index;
}

// H.264 as an encoder made it; its private data are the encoder's parameter sets.
static inline int postern_mux_add_h264(PosternMuxer *muxer, const AVCodecContext *encoder) {
    AVStream *stream = postern_mux_stream(muxer, AVMEDIA_TYPE_VIDEO, AV_CODEC_ID_H264);
    if (!stream) return AVERROR(ENOMEM);
    int result = avcodec_parameters_from_context(stream->codecpar, encoder);
    stream->codecpar->codec_tag = 0;
    stream->time_base = (AVRational){1, 90000};
    return result < 0 ? result : stream->index;
}

static inline int postern_mux_io_error(PosternMuxer *muxer) { return muxer->io->error < 0 ? muxer->io->error : 0; }

// `options` is a list such as "movflags=empty_moov:live=1".
static inline int postern_mux_header(PosternMuxer *muxer, const char *options) {
    AVDictionary *dictionary = NULL;
    int result = av_dict_parse_string(&dictionary, options, "=", ":", 0);
    if (result >= 0) result = avformat_write_header(muxer->context, &dictionary);
    av_dict_free(&dictionary);
    if (result < 0) return result;
    muxer->has_header = 1;
    for (unsigned i = 0; i < muxer->context->nb_streams; i++)
        muxer->lead[i] = av_rescale_q(
            muxer->lead_samples[i], (AVRational){1, 48000}, muxer->context->streams[i]->time_base);
    avio_flush(muxer->io);
    return postern_mux_io_error(muxer);
}

// Time and duration in nanoseconds of the file; a duration of zero is unknown.
static inline int postern_mux_write(
    PosternMuxer *muxer, int index, const uint8_t *bytes, int count, int64_t time, int64_t duration, int is_key) {
    if (index < 0 || (unsigned)index >= muxer->context->nb_streams) return AVERROR(EINVAL);
    const AVRational nanoseconds = {1, 1000000000}, base = muxer->context->streams[index]->time_base;
    AVPacket *packet = muxer->packet;
    av_packet_unref(packet);
    packet->data = (uint8_t *)bytes;
    packet->size = count;
    packet->stream_index = index;
    packet->pts = packet->dts = av_rescale_q(time, nanoseconds, base) - muxer->lead[index];
    packet->duration = av_rescale_q(duration, nanoseconds, base);
    packet->flags = is_key ? AV_PKT_FLAG_KEY : 0;
    int result = av_write_frame(muxer->context, packet);
    packet->data = NULL;
    packet->size = 0;
    return result < 0 ? result : postern_mux_io_error(muxer);
}

// Ends the cluster, fragment or page, so that what was written so far stands by itself.
static inline int postern_mux_flush(PosternMuxer *muxer) {
    int result = av_write_frame(muxer->context, NULL);
    avio_flush(muxer->io);
    return result < 0 ? result : postern_mux_io_error(muxer);
}

static inline int postern_mux_trailer(PosternMuxer *muxer) {
    if (!muxer->has_header) return 0;
    int result = av_write_trailer(muxer->context);
    avio_flush(muxer->io);
    return result < 0 ? result : postern_mux_io_error(muxer);
}

// Matroska's timestamps include the codec delay. FFmpeg 5.1 writes them as they are given; later versions take times
// without the delay and add it. Which one this is only a trial tells: one packet at 1 s with a delay of 10 ms.
static inline int postern_mux_adds_codec_delay(void) {
    AVFormatContext *context = NULL;
    AVPacket *packet = av_packet_alloc();
    uint8_t *bytes = NULL, sound[2] = {0xF8, 0};
    int count = 0, adds = 0;
    if (!packet || avformat_alloc_output_context2(&context, NULL, "matroska", NULL) < 0 ||
        avio_open_dyn_buf(&context->pb) < 0)
        goto end;
    context->avoid_negative_ts = AVFMT_AVOID_NEG_TS_DISABLED;
    PosternMuxer muxer = {.context = context};
    if (postern_mux_add_opus(&muxer, 1, 480, 0) < 0 || avformat_write_header(context, NULL) < 0) goto end;
    packet->data = sound;
    packet->size = sizeof sound;
    packet->pts = packet->dts = 1000;
    packet->flags = AV_PKT_FLAG_KEY;
    if (av_write_frame(context, packet) < 0 || av_write_trailer(context) < 0) goto end;
    count = avio_close_dyn_buf(context->pb, &bytes);
    context->pb = NULL;
    // A cluster's ID, its size, then its timestamp: 1010 where the delay was added.
    for (int i = 0; i + 20 < count && !adds; i++) {
        if (memcmp(bytes + i, "\x1F\x43\xB6\x75", 4)) continue;
        for (int j = i + 5; j < i + 14; j++) adds |= !memcmp(bytes + j, "\xE7\x82\x03\xF2", 4);
    }
end:
    if (packet) packet->data = NULL;
    av_packet_free(&packet);
    if (context && context->pb) {
        avio_close_dyn_buf(context->pb, &bytes);
        context->pb = NULL;
    }
    av_free(bytes);
    avformat_free_context(context);
    return adds;
}

// An H.264 encoder without reordering, of whatever kind this FFmpeg has; NULL where it has none.
static inline AVCodecContext *postern_rec_open_h264(int width, int height) {
    const char *const names[] = {"libx264", "libopenh264"};
    for (int i = 0; i < 2; i++) {
        const AVCodec *codec = avcodec_find_encoder_by_name(names[i]);
        AVCodecContext *encoder = codec ? avcodec_alloc_context3(codec) : NULL;
        if (!encoder) continue;
        encoder->width = width;
        encoder->height = height;
        encoder->pix_fmt = AV_PIX_FMT_YUV420P;
        encoder->color_range = AVCOL_RANGE_MPEG;
        encoder->time_base = (AVRational){1, 90000};
        encoder->gop_size = 60;
        encoder->max_b_frames = 0;
        encoder->thread_count = 2;
        encoder->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
        // libx264 goes by quality; the bit rate, 0.1 bit a pixel at 30 a second, is for an encoder that cannot.
        if (i) encoder->bit_rate = (int64_t)width * height * 3;
        av_opt_set(encoder->priv_data, "preset", "veryfast", 0);
        av_opt_set(encoder->priv_data, "tune", "zerolatency", 0);
        av_opt_set(encoder->priv_data, "crf", "23", 0);
        if (avcodec_open2(encoder, codec, NULL) >= 0) return encoder;
        avcodec_free_context(&encoder);
    }
    return NULL;
}

static inline void postern_rec_close_h264(AVCodecContext *encoder) { avcodec_free_context(&encoder); }

// Hands a tightly packed I420 picture to the encoder; NULL says that no more come. `time` is in ticks of 90 kHz.
static inline int postern_rec_send_h264(AVCodecContext *encoder, const uint8_t *bytes, int64_t time) {
    if (!bytes) return avcodec_send_frame(encoder, NULL);
    AVFrame *frame = av_frame_alloc();
    if (!frame) return AVERROR(ENOMEM);
    frame->format = AV_PIX_FMT_YUV420P;
    frame->width = encoder->width;
    frame->height = encoder->height;
    frame->pts = time;
    int result = av_frame_get_buffer(frame, 0);
    for (int plane = 0; result >= 0 && plane < 3; plane++) {
        int shift = plane ? 1 : 0, width = encoder->width >> shift;
        for (int y = 0; y < encoder->height >> shift; y++, bytes += width)
            memcpy(frame->data[plane] + (ptrdiff_t)y * frame->linesize[plane], bytes, (size_t)width);
    }
    if (result >= 0) result = avcodec_send_frame(encoder, frame);
    av_frame_free(&frame);
    return result;
}

// One if a packet is there, zero if not. Free it after use.
static inline int postern_rec_receive_h264(AVCodecContext *encoder, AVPacket **packet) {
    *packet = av_packet_alloc();
    if (!*packet) return AVERROR(ENOMEM);
    int result = avcodec_receive_packet(encoder, *packet);
    if (result < 0) av_packet_free(packet);
    return result >= 0 ? 1 : result == AVERROR(EAGAIN) || result == AVERROR_EOF ? 0 : result;
}

// Scales a tightly packed I420 picture to another size. `out` has room for 64 bytes more than the picture, which the
// vector code may use.
static inline int postern_rec_scale(
    const uint8_t *bytes, int width, int height, uint8_t *out, int out_width, int out_height) {
    struct SwsContext *scaler = sws_getContext(
        width, height, AV_PIX_FMT_YUV420P, out_width, out_height, AV_PIX_FMT_YUV420P, SWS_BILINEAR, NULL, NULL, NULL);
    if (!scaler) return AVERROR(EINVAL);
    const ptrdiff_t luma = (ptrdiff_t)width * height, out_luma = (ptrdiff_t)out_width * out_height;
    const uint8_t *const planes[4] = {bytes, bytes + luma, bytes + luma + luma / 4, NULL};
    const int strides[4] = {width, width / 2, width / 2, 0};
    uint8_t *const out_planes[4] = {out, out + out_luma, out + out_luma + out_luma / 4, NULL};
    const int out_strides[4] = {out_width, out_width / 2, out_width / 2, 0};
    int rows = sws_scale(scaler, planes, strides, 0, height, out_planes, out_strides);
    sws_freeContext(scaler);
    return rows;
}

#endif
