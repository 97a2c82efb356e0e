"""The lab's own world: namespaces for networks, mounts and processes of which nothing is left when the lab ends.

The lab runs as process 1 of its own process namespace. When it ends, by whatever way (SIGKILL included), the kernel ends
every process in there, and with the last of them go the network namespaces, their interfaces, rules and mounts: they are
named in a /run that only the lab sees. So there is nothing to find and to sweep afterwards, and nothing of the machine that
a lab could harm: its network has no route outward, and no process outside can be named from inside.
"""
import ctypes
import os
import signal
import sys

NOT_ALLOWED = 77
_NEWNS, _NEWUSER, _NEWPID, _NEWNET = 0x20000, 0x10000000, 0x20000000, 0x40000000
_MS_PRIVATE, _MS_REC, _PR_SET_PDEATHSIG = 1 << 18, 1 << 14, 1
_libc = ctypes.CDLL(None, use_errno=True)


class NotAllowed(Exception):
    pass


def enter():
    """Returns in a child that is alone in its world; the caller's process stays behind, passes signals on and ends with
    the child's exit code. Needs root or user namespaces; `NotAllowed` says what the kernel refused."""
    if os.geteuid() == 0:
        try:
            _unshare(_NEWNS | _NEWPID | _NEWNET)
        except OSError:
            _as_root_of_a_user_namespace()
    else:
        _as_root_of_a_user_namespace()
    child = os.fork()
    if child:
        _wait(child)
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    _mount(None, "/", None, _MS_PRIVATE | _MS_REC)
    _mount("proc", "/proc", "proc", 0)
    _mount("tmpfs", "/run", "tmpfs", 0)


def die_with_parent():
    """For `preexec_fn`: a child does not outlive its parent even before the namespace ends."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _unshare(flags):
    if _libc.unshare(flags) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _as_root_of_a_user_namespace():
    user, group = os.geteuid(), os.getegid()
    try:
        _unshare(_NEWUSER | _NEWNS | _NEWPID | _NEWNET)
        for name, text in (("setgroups", "deny"), ("uid_map", f"0 {user} 1"), ("gid_map", f"0 {group} 1")):
            with open("/proc/self/" + name, "w") as file:
                file.write(text)
    except OSError as error:
        raise NotAllowed(f"namespaces: {error.strerror}; run as root, or allow user namespaces "
                         "(sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone)")


def _mount(source, target, kind, flags):
    def encoded(text):
        return text.encode() if text else None
    if _libc.mount(encoded(source), encoded(target), encoded(kind), flags, None) != 0:
        number = ctypes.get_errno()
        raise NotAllowed(f"mount {target}: {os.strerror(number)}")


def _wait(child):
    def passed_on(number, _):
        try:
            os.kill(child, number)
        except ProcessLookupError:
            pass
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, passed_on)
    while True:
        try:
            _, status = os.waitpid(child, 0)
        except InterruptedError:
            continue
        sys.stdout.flush()
        os._exit(os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status))
