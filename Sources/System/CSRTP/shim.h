#ifndef POSTERN_CSRTP_SHIM_H
#define POSTERN_CSRTP_SHIM_H

#include <srtp2/srtp.h>

#endif
