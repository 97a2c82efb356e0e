#ifndef POSTERN_FUZZ_DRIVER_H
#define POSTERN_FUZZ_DRIVER_H

int PosternFuzz_main(int argc, char **argv);

#endif
