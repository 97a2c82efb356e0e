#ifndef POSTERN_COPUS_SHIM_H
#define POSTERN_COPUS_SHIM_H

#if __has_include(<opus/opus.h>)
#include <opus/opus.h>
#else
#include <opus.h>
#endif

// opus_encoder_ctl is variadic, which Swift cannot call.

static inline int postern_opus_set(OpusEncoder *encoder, int request, opus_int32 value) {
    return opus_encoder_ctl(encoder, request, value);
}

static inline opus_int32 postern_opus_get(OpusEncoder *encoder, int request) {
    opus_int32 value = 0;
    return opus_encoder_ctl(encoder, request, &value) == OPUS_OK ? value : 0;
}

static inline int postern_opus_reset_decoder(OpusDecoder *decoder) {
    return opus_decoder_ctl(decoder, OPUS_RESET_STATE);
}

#endif
