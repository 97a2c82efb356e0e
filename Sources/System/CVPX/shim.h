#ifndef POSTERN_CVPX_SHIM_H
#define POSTERN_CVPX_SHIM_H

#endif
