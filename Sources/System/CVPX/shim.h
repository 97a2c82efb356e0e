#ifndef POSTERN_CVPX_SHIM_H
#define POSTERN_CVPX_SHIM_H

#include <stdint.h>
#include <string.h>
#include <vpx/vp8cx.h>
#include <vpx/vp8dx.h>
#include <vpx/vpx_decoder.h>
#include <vpx/vpx_encoder.h>

// libvpx opens codecs through macros that carry the ABI version, and sets controls through varargs.

static inline vpx_codec_err_t postern_vp8_default_config(vpx_codec_enc_cfg_t *config) {
    return vpx_codec_enc_config_default(vpx_codec_vp8_cx(), config, 0);
}

static inline vpx_codec_err_t postern_vp8_open_encoder(vpx_codec_ctx_t *context, const vpx_codec_enc_cfg_t *config) {
    return vpx_codec_enc_init(context, vpx_codec_vp8_cx(), config, 0);
}

static inline vpx_codec_err_t postern_vpx_set(vpx_codec_ctx_t *context, int control, int value) {
    return vpx_codec_control_(context, control, value);
}

// Encodes one frame of tightly packed I420 of even size with the realtime deadline.
static inline vpx_codec_err_t postern_vp8_encode(
    vpx_codec_ctx_t *context, const uint8_t *i420, unsigned int width, unsigned int height, int64_t time,
    unsigned long duration, int keyframe) {
    vpx_image_t image;
    if (!vpx_img_wrap(&image, VPX_IMG_FMT_I420, width, height, 1, (unsigned char *)i420)) return VPX_CODEC_MEM_ERROR;
    return vpx_codec_encode(context, &image, time, duration, keyframe ? VPX_EFLAG_FORCE_KF : 0, VPX_DL_REALTIME);
}

// The next encoded frame, or NULL. The bytes belong to the encoder until the next call of it.
static inline const uint8_t *postern_vp8_packet(
    vpx_codec_ctx_t *context, vpx_codec_iter_t *iterator, size_t *size, int *keyframe) {
    const vpx_codec_cx_pkt_t *packet;
    while ((packet = vpx_codec_get_cx_data(context, iterator))) {
        if (packet->kind != VPX_CODEC_CX_FRAME_PKT) continue;
        *size = packet->data.frame.sz;
        *keyframe = (packet->data.frame.flags & VPX_FRAME_IS_KEY) != 0;
        return (const uint8_t *)packet->data.frame.buf;
    }
    return NULL;
}

static inline vpx_codec_err_t postern_vp8_open_decoder(vpx_codec_ctx_t *context, unsigned int threads) {
    vpx_codec_dec_cfg_t config;
    memset(&config, 0, sizeof config);
    config.threads = threads;
    return vpx_codec_dec_init(context, vpx_codec_vp8_dx(), &config, 0);
}

static inline const vpx_image_t *postern_vp8_decoded(vpx_codec_ctx_t *context) {
    vpx_codec_iter_t iterator = NULL;
    const vpx_image_t *image = vpx_codec_get_frame(context, &iterator);
    return image && image->fmt == VPX_IMG_FMT_I420 ? image : NULL;
}

// Copies the upper left `width` by `height` pixels, both even, as tightly packed I420.
static inline void postern_vpx_copy(const vpx_image_t *image, uint8_t *out, unsigned int width, unsigned int height) {
    for (int plane = 0; plane < 3; plane++) {
        unsigned int shift = plane ? 1 : 0;
        const uint8_t *row = image->planes[plane];
        for (unsigned int y = 0; y < height >> shift; y++) {
            memcpy(out, row, width >> shift);
            out += width >> shift;
            row += image->stride[plane];
        }
    }
}

#endif
