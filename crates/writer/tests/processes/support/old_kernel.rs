//! A kernel that knows no memory which a fork wipes, as gVisor's does not.
#![expect(unsafe_code, reason = "no safe wrapper filters system calls")]

use std::io::Error;

/// Has `madvise(MADV_WIPEONFORK)` fail with EINVAL in this thread, and in all that it starts, from
/// now on.
pub(crate) fn refuse_to_wipe_on_fork() {
    // What a filter sees: the number of the call first, the instruction pointer, and six arguments
    // of eight bytes from byte 16 on. The lower half of the third is where a small number stands.
    const NUMBER: u32 = 0;
    const ADVICE: u32 = if cfg!(target_endian = "little") {
        32
    } else {
        36
    };
    let load = |from| operation(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, from);
    let is = |value, otherwise| {
        let code = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
        operation(code, 0, otherwise, value)
    };
    let answer = |value| operation(libc::BPF_RET | libc::BPF_K, 0, 0, value);
    let mut filter = [
        load(NUMBER),
        is(libc::SYS_madvise as u32, 3),
        load(ADVICE),
        is(libc::MADV_WIPEONFORK as u32, 1),
        answer(libc::SECCOMP_RET_ERRNO | libc::EINVAL as u32),
        answer(libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog {
        len: filter.len() as u16,
        filter: filter.as_mut_ptr(),
    };
    // SAFETY: takes numbers alone, and gives up the right to gain privileges.
    let outcome = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    assert_eq!(outcome, 0, "{}", Error::last_os_error());
    let mode = libc::SECCOMP_MODE_FILTER;
    // SAFETY: the program and its operations outlive the call, and the kernel checks them.
    let outcome = unsafe { libc::prctl(libc::PR_SET_SECCOMP, mode, &raw const program) };
    assert_eq!(outcome, 0, "{}", Error::last_os_error());
}

/// Whether a fork wipes what it is asked to.
pub(crate) fn wipes_on_fork() -> bool {
    let nowhere = std::ptr::null_mut();
    // SAFETY: no byte is advised on: the call says whether the kernel knows the advice.
    let outcome = unsafe { libc::madvise(nowhere, 0, libc::MADV_WIPEONFORK) };
    outcome == 0
}

fn operation(code: u32, then: u8, otherwise: u8, value: u32) -> libc::sock_filter {
    libc::sock_filter {
        code: code as u16,
        jt: then,
        jf: otherwise,
        k: value,
    }
}
