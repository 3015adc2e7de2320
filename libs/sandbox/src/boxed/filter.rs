//! The system-call filter: what programs may not ask the kernel for.
//!
//! It is a list of what is denied, because runtimes differ too much for a list of what is allowed;
//! the namespaces and missing capabilities are the wall, this makes the kernel's surface smaller.
//! It is assembled here as a search tree instead of by a library as a chain of comparisons: the
//! kernel evaluates a new filter for every call number when it is installed, and a chain for these calls costs
//! 0.4 ms there, about as long as a small program runs.
//!
//! The init installs nearly all of it, once for many programs, and each program's process the little rest: what
//! the init itself needs to start it.

use libc::{c_long, sock_filter};
use std::io;

/// What happens to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// The process dies: no honest program does this.
    Kill,
    /// The call fails with this error: runtimes try it and do without.
    Fail(i32),
    /// Sockets of the local family only.
    LocalSocket,
    /// No new namespaces.
    SameNamespaces,
    /// Fails with "no memory" when an argument, by its position, has one of these bits.
    Without(u32, u32),
}

const KILLED: &[c_long] = &[
    // Other processes' memory and files.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    // Mounts and namespaces.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_setns,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
    // The kernel and the machine.
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_reboot,
    libc::SYS_bpf,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_syslog,
    libc::SYS_vhangup,
    libc::SYS_lookup_dcookie,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
    // Keys outlive processes.
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
];

const FAILED: &[(c_long, i32)] = &[
    (libc::SYS_io_uring_setup, libc::ENOSYS),
    (libc::SYS_io_uring_enter, libc::ENOSYS),
    (libc::SYS_io_uring_register, libc::ENOSYS),
    (libc::SYS_userfaultfd, libc::EPERM),
    (libc::SYS_perf_event_open, libc::EACCES),
    (libc::SYS_fanotify_init, libc::EPERM),
    // These outlive processes.
    (libc::SYS_shmget, libc::ENOSYS),
    (libc::SYS_shmat, libc::ENOSYS),
    (libc::SYS_shmctl, libc::ENOSYS),
    (libc::SYS_msgget, libc::ENOSYS),
    (libc::SYS_semget, libc::ENOSYS),
    (libc::SYS_mq_open, libc::ENOSYS),
    // A measured program stays on its core.
    (libc::SYS_sched_setaffinity, libc::EPERM),
    (libc::SYS_mbind, libc::EPERM),
    (libc::SYS_set_mempolicy, libc::EPERM),
    (libc::SYS_migrate_pages, libc::EPERM),
    (libc::SYS_move_pages, libc::EPERM),
];

#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xc000_00b7;
/// Numbers from here on are the x32 ABI's, which is a second door to the same calls.
const X32: u32 = 0x4000_0000;

const NAMESPACES: i32 = libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET;

/// Offsets in the kernel's `seccomp_data`.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;
const FIRST_ARGUMENT: u32 = 16;

const LOAD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
const EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
const AT_LEAST: u32 = libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K;
const ANY_BIT: u32 = libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K;
const RETURN: u32 = libc::BPF_RET | libc::BPF_K;

/// What the init denies itself, and so every program.
pub fn of_init() -> Vec<sock_filter> {
    let mut rules: Vec<(u32, Fate)> =
        KILLED.iter().map(|call| (number(*call), Fate::Kill)).collect();
    rules.extend(FAILED.iter().map(|(call, error)| (number(*call), Fate::Fail(*error))));
    rules.push((number(libc::SYS_socket), Fate::LocalSocket));
    rules.push((number(libc::SYS_socketpair), Fate::LocalSocket));
    rules.push((number(libc::SYS_clone), Fate::SameNamespaces));
    // Huge pages come from the machine's own pool, which no control group of memory counts.
    let huge = [
        (libc::SYS_mmap, 3, libc::MAP_HUGETLB.cast_unsigned()),
        (libc::SYS_memfd_create, 1, libc::MFD_HUGETLB),
    ];
    rules.extend(huge.map(|(call, position, bit)| (number(call), Fate::Without(position, bit))));
    rules.sort_by_key(|rule| rule.0);
    let kill = step(RETURN, libc::SECCOMP_RET_KILL_PROCESS);
    let mut filter = vec![
        step(LOAD, ARCH),
        branch(EQUAL, ARCHITECTURE, 1, 0),
        kill,
        step(LOAD, NUMBER),
        branch(AT_LEAST, X32, 0, 1),
        kill,
    ];
    filter.extend(tree(&rules));
    filter
}

/// What is denied to programs besides. The init's filter has looked at the architecture.
pub fn of_program() -> Vec<sock_filter> {
    let mut rules = [
        // Its arguments cannot be looked at; the C library falls back to clone.
        (number(libc::SYS_clone3), Fate::Fail(libc::ENOSYS)),
        (number(libc::SYS_unshare), Fate::Kill),
    ];
    rules.sort_by_key(|rule| rule.0);
    let mut filter = vec![step(LOAD, NUMBER)];
    filter.extend(tree(&rules));
    filter
}

/// Puts a filter in force for the calling process. Makes this one call, and allocates nothing.
pub fn install(filter: &[sock_filter]) -> io::Result<()> {
    let program = libc::sock_fprog {
        len: u16::try_from(filter.len()).unwrap_or(u16::MAX),
        filter: filter.as_ptr().cast_mut(),
    };
    // SAFETY: the kernel copies the program during the call.
    let result = unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The search over sorted rules; the call's number is loaded.
fn tree(rules: &[(u32, Fate)]) -> Vec<sock_filter> {
    if let [(number, fate)] = rules {
        let body = body(*fate);
        let mut leaf = vec![branch(EQUAL, *number, 0, short(body.len()))];
        leaf.extend(body);
        leaf.push(step(RETURN, libc::SECCOMP_RET_ALLOW));
        return leaf;
    }
    let (low, high) = rules.split_at(rules.len() / 2);
    let (first, low, high) = (high[0].0, tree(low), tree(high));
    let mut node = vec![branch(AT_LEAST, first, short(low.len()), 0)];
    node.extend(low);
    node.extend(high);
    node
}

fn body(fate: Fate) -> Vec<sock_filter> {
    let fail = |error: i32| step(RETURN, libc::SECCOMP_RET_ERRNO | error.cast_unsigned());
    let allow = step(RETURN, libc::SECCOMP_RET_ALLOW);
    let kill = step(RETURN, libc::SECCOMP_RET_KILL_PROCESS);
    let argument = |position: u32| step(LOAD, FIRST_ARGUMENT + 8 * position);
    match fate {
        Fate::Kill => vec![kill],
        Fate::Fail(error) => vec![fail(error)],
        Fate::LocalSocket => {
            let local = libc::AF_UNIX.cast_unsigned();
            vec![argument(0), branch(EQUAL, local, 1, 0), fail(libc::EACCES), allow]
        }
        Fate::SameNamespaces => {
            vec![argument(0), branch(ANY_BIT, NAMESPACES.cast_unsigned(), 0, 1), kill, allow]
        }
        Fate::Without(position, bits) => {
            vec![argument(position), branch(ANY_BIT, bits, 0, 1), fail(libc::ENOMEM), allow]
        }
    }
}

fn number(call: c_long) -> u32 {
    u32::try_from(call).unwrap_or(u32::MAX)
}

fn short(distance: usize) -> u8 {
    u8::try_from(distance).expect("the tree's halves are below 256 steps")
}

fn step(code: u32, k: u32) -> sock_filter {
    branch(code, k, 0, 0)
}

fn branch(code: u32, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code: u16::try_from(code).unwrap_or(u16::MAX), jt, jf, k }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What both filters answer together: the lower number counts, and the one for killing is negative.
    fn answer(arch: u32, call: u32, argument: u32) -> u32 {
        let answers =
            [of_init(), of_program()].map(|filter| interpret(&filter, arch, call, argument));
        answers.into_iter().min_by_key(|answer| answer.cast_signed()).unwrap()
    }

    fn interpret(program: &[sock_filter], arch: u32, call: u32, argument: u32) -> u32 {
        let (mut at, mut value) = (0, 0);
        loop {
            let here = program[at];
            at += 1;
            let taken = match u32::from(here.code) {
                LOAD => {
                    value = match here.k {
                        NUMBER => call,
                        ARCH => arch,
                        _ => argument,
                    };
                    continue;
                }
                RETURN => return here.k,
                EQUAL => value == here.k,
                AT_LEAST => value >= here.k,
                ANY_BIT => value & here.k != 0,
                _ => unreachable!(),
            };
            at += usize::from(if taken { here.jt } else { here.jf });
        }
    }

    #[track_caller]
    fn check(call: c_long, argument: i32, expected: u32) {
        let found = answer(ARCHITECTURE, number(call), argument.cast_unsigned());
        assert_eq!(found, expected, "call {call} with {argument}");
    }

    #[test]
    fn denies_exactly_the_listed_calls() {
        let errno = |error: i32| libc::SECCOMP_RET_ERRNO | error.cast_unsigned();
        let (allow, kill) = (libc::SECCOMP_RET_ALLOW, libc::SECCOMP_RET_KILL_PROCESS);
        for call in 0..1000 {
            let failed = FAILED.iter().find(|(listed, _)| *listed == call);
            let expected = match failed {
                Some((_, error)) => errno(*error),
                None if call == libc::SYS_clone3 => errno(libc::ENOSYS),
                None if KILLED.contains(&call) || call == libc::SYS_unshare => kill,
                None => allow,
            };
            check(call, libc::AF_UNIX, expected);
        }
        for family in [libc::AF_INET, libc::AF_INET6, libc::AF_VSOCK, libc::AF_NETLINK] {
            check(libc::SYS_socket, family, errno(libc::EACCES));
        }
        check(libc::SYS_clone, libc::SIGCHLD | libc::CLONE_VM | libc::CLONE_THREAD, allow);
        check(libc::SYS_clone, libc::SIGCHLD | libc::CLONE_NEWUSER, kill);
        check(libc::SYS_mmap, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, allow);
        check(libc::SYS_mmap, libc::MAP_PRIVATE | libc::MAP_HUGETLB, errno(libc::ENOMEM));
    }

    #[test]
    fn kills_other_architectures() {
        let kill = libc::SECCOMP_RET_KILL_PROCESS;
        assert_eq!(answer(0x4000_0003, 1, 0), kill);
        assert_eq!(answer(ARCHITECTURE, X32 + 1, 0), kill);
    }
}
