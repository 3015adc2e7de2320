//! The system-call filter of programs.
//!
//! It lists forbidden calls, because the calls that language runtimes need differ too much for a list of allowed
//! calls. Namespaces and missing capabilities isolate programs; the filter reduces the attack surface of the
//! kernel.
//!
//! The filter is a binary search tree, unlike the chain of comparisons that libraries generate: on installation
//! the kernel evaluates a filter for every call number, which takes 0.4 ms for a chain, about as long as a small
//! program runs.
//!
//! The init installs most of the filter, once for many programs. The process of each program adds the calls that
//! the init needs to start it.

use libc::{c_long, sock_filter};
use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

/// What the filter does with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Kill,
    /// Fails with this error, which runtimes handle.
    Fail(i32),
    /// Does nothing and reports success.
    Pretend,
    /// Forwards queries of the stack limit to the listener of the filter, if it has one.
    StackQueries,
    /// Pretends to set locks, and fails for other commands that act on the file for all its users.
    OwnCommands,
    /// Allows sockets of the local family only.
    LocalSocket,
    /// Kills the process if it asks for new namespaces.
    SameNamespaces,
    /// Fails with `ENOMEM` if the argument at this position has one of these bits.
    FailOnBits(u32, u32),
}

const KILLED: &[c_long] = &[
    // Access to memory and files of other processes.
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
    // Administration of the kernel and the machine.
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
    // Notifications and the page cache would tell programs what others do with files of the host. The errors are
    // those of a kernel without these calls, for which runtimes are prepared.
    (libc::SYS_fanotify_init, libc::ENOSYS),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_inotify_init, libc::ENOSYS),
    (libc::SYS_inotify_init1, libc::ENOSYS),
    (CACHESTAT, libc::ENOSYS),
    // System V and POSIX IPC objects outlive processes.
    (libc::SYS_shmget, libc::ENOSYS),
    (libc::SYS_shmat, libc::ENOSYS),
    (libc::SYS_shmctl, libc::ENOSYS),
    (libc::SYS_msgget, libc::ENOSYS),
    (libc::SYS_semget, libc::ENOSYS),
    (libc::SYS_mq_open, libc::ENOSYS),
    // A program stays on its core and memory node.
    (libc::SYS_sched_setaffinity, libc::EPERM),
    (libc::SYS_mbind, libc::EPERM),
    (libc::SYS_set_mempolicy, libc::EPERM),
    (libc::SYS_migrate_pages, libc::EPERM),
    (libc::SYS_move_pages, libc::EPERM),
];

/// `cachestat`, which the C library's bindings do not name yet.
const CACHESTAT: c_long = 451;

/// The commands of `fcntl` that set locks, as `flock` does. A filter cannot see which file a lock is for, and locks on
/// files of the host would be seen by other slots and by the host. Compilers, databases and runtimes lock files that
/// only they use, and fail without; so these calls succeed without effect. For the record locks of one process, this is
/// exactly their meaning, because a process never excludes itself.
const LOCKS: [i32; 4] = [libc::F_SETLK, libc::F_SETLKW, libc::F_OFD_SETLK, libc::F_OFD_SETLKW];

/// The commands of `fcntl` that reveal or change what other users of a file see: locks, leases, delegations,
/// notifications and write hints. They fail with `EINVAL`, the error of a file system without them.
const SHARED_COMMANDS: [i32; 11] = [
    libc::F_GETLK,
    libc::F_OFD_GETLK,
    libc::F_SETLEASE,
    libc::F_GETLEASE,
    libc::F_NOTIFY,
    // F_GET_RW_HINT to F_SET_FILE_RW_HINT, F_GETDELEG and F_SETDELEG.
    1035,
    1036,
    1037,
    1038,
    1039,
    1040,
];

#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xc000_00b7;
/// Call numbers from here on belong to the x32 ABI, which offers the same calls again.
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

/// The filter of the init, which programs inherit. Only with a listener, it forwards queries of the stack limit.
pub fn init_filter(with_listener: bool) -> Vec<sock_filter> {
    let mut rules: Vec<(u32, Action)> =
        KILLED.iter().map(|call| (number(*call), Action::Kill)).collect();
    rules.extend(FAILED.iter().map(|(call, error)| (number(*call), Action::Fail(*error))));
    rules.push((number(libc::SYS_socket), Action::LocalSocket));
    rules.push((number(libc::SYS_socketpair), Action::LocalSocket));
    rules.push((number(libc::SYS_clone), Action::SameNamespaces));
    rules.push((number(libc::SYS_flock), Action::Pretend));
    if with_listener {
        rules.push((number(libc::SYS_prlimit64), Action::StackQueries));
    }
    rules.push((number(libc::SYS_fcntl), Action::OwnCommands));
    // The memory cgroup does not count huge pages.
    let huge = [
        (libc::SYS_mmap, 3, libc::MAP_HUGETLB.cast_unsigned()),
        (libc::SYS_memfd_create, 1, libc::MFD_HUGETLB),
    ];
    rules.extend(
        huge.map(|(call, position, bit)| (number(call), Action::FailOnBits(position, bit))),
    );
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
    filter.extend(search_tree(&rules));
    filter
}

/// The additional filter of programs. The filter of the init checks the architecture.
pub fn program_filter() -> Vec<sock_filter> {
    let mut rules = [
        // A filter cannot inspect its arguments; the C library falls back to clone.
        (number(libc::SYS_clone3), Action::Fail(libc::ENOSYS)),
        (number(libc::SYS_unshare), Action::Kill),
    ];
    rules.sort_by_key(|rule| rule.0);
    let mut filter = vec![step(LOAD, NUMBER)];
    filter.extend(search_tree(&rules));
    filter
}

/// Installs a filter for the calling process. Makes one system call and does not allocate.
pub fn install(filter: &[sock_filter]) -> io::Result<()> {
    set_filter(filter, 0).map(drop)
}

/// Installs a filter and returns its listener. Fails if the kernel has no listeners, or if another filter has one.
pub fn install_with_listener(filter: &[sock_filter]) -> io::Result<OwnedFd> {
    let fd = set_filter(filter, libc::SECCOMP_FILTER_FLAG_NEW_LISTENER)?;
    let fd = i32::try_from(fd).map_err(io::Error::other)?;
    // SAFETY: the kernel has just opened the descriptor for this call.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn set_filter(filter: &[sock_filter], flags: libc::c_ulong) -> io::Result<c_long> {
    let program = libc::sock_fprog {
        len: u16::try_from(filter.len()).unwrap_or(u16::MAX),
        filter: filter.as_ptr().cast_mut(),
    };
    // SAFETY: the kernel copies the program during the call.
    let result = unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program)
    };
    if result >= 0 { Ok(result) } else { Err(io::Error::last_os_error()) }
}

/// A binary search over sorted rules for the call number in the accumulator.
fn search_tree(rules: &[(u32, Action)]) -> Vec<sock_filter> {
    if let [(number, action)] = rules {
        let steps = action_steps(*action);
        let mut leaf = vec![branch(EQUAL, *number, 0, offset(steps.len()))];
        leaf.extend(steps);
        leaf.push(step(RETURN, libc::SECCOMP_RET_ALLOW));
        return leaf;
    }
    let (low, high) = rules.split_at(rules.len() / 2);
    let (first, low, high) = (high[0].0, search_tree(low), search_tree(high));
    let mut node = vec![branch(AT_LEAST, first, offset(low.len()), 0)];
    node.extend(low);
    node.extend(high);
    node
}

fn action_steps(action: Action) -> Vec<sock_filter> {
    let fail = |error: i32| step(RETURN, libc::SECCOMP_RET_ERRNO | error.cast_unsigned());
    let allow = step(RETURN, libc::SECCOMP_RET_ALLOW);
    let kill = step(RETURN, libc::SECCOMP_RET_KILL_PROCESS);
    let argument = |position: u32| step(LOAD, FIRST_ARGUMENT + 8 * position);
    match action {
        Action::Kill => vec![kill],
        Action::Fail(error) => vec![fail(error)],
        Action::Pretend => vec![fail(0)],
        Action::StackQueries => {
            let upper_half = step(LOAD, FIRST_ARGUMENT + 8 * 2 + 4);
            vec![
                argument(1),
                branch(EQUAL, libc::RLIMIT_STACK, 0, 5),
                // Without a new limit.
                argument(2),
                branch(EQUAL, 0, 0, 3),
                upper_half,
                branch(EQUAL, 0, 0, 1),
                step(RETURN, libc::SECCOMP_RET_USER_NOTIF),
                allow,
            ]
        }
        Action::OwnCommands => {
            let mut steps = vec![argument(1)];
            let results = LOCKS.map(|command| (command, 0)).into_iter();
            let results = results.chain(SHARED_COMMANDS.map(|command| (command, libc::EINVAL)));
            for (command, error) in results {
                steps.extend([branch(EQUAL, command.cast_unsigned(), 0, 1), fail(error)]);
            }
            steps.push(allow);
            steps
        }
        Action::LocalSocket => {
            let local = libc::AF_UNIX.cast_unsigned();
            vec![argument(0), branch(EQUAL, local, 1, 0), fail(libc::EACCES), allow]
        }
        Action::SameNamespaces => {
            vec![argument(0), branch(ANY_BIT, NAMESPACES.cast_unsigned(), 0, 1), kill, allow]
        }
        Action::FailOnBits(position, bits) => {
            vec![argument(position), branch(ANY_BIT, bits, 0, 1), fail(libc::ENOMEM), allow]
        }
    }
}

fn number(call: c_long) -> u32 {
    u32::try_from(call).unwrap_or(u32::MAX)
}

fn offset(distance: usize) -> u8 {
    u8::try_from(distance).expect("each half of the tree has fewer than 256 steps")
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

    /// The combined result of both filters: the lowest number as a signed integer, as in the kernel.
    fn evaluate(arch: u32, call: u32, argument: u32) -> u32 {
        let results = [init_filter(true), program_filter()]
            .map(|filter| interpret(&filter, arch, call, argument));
        results.into_iter().min_by_key(|result| result.cast_signed()).unwrap()
    }

    fn interpret(program: &[sock_filter], arch: u32, call: u32, argument: u32) -> u32 {
        let (mut counter, mut accumulator) = (0, 0);
        loop {
            let here = program[counter];
            counter += 1;
            let taken = match u32::from(here.code) {
                LOAD => {
                    accumulator = match here.k {
                        NUMBER => call,
                        ARCH => arch,
                        _ => argument,
                    };
                    continue;
                }
                RETURN => return here.k,
                EQUAL => accumulator == here.k,
                AT_LEAST => accumulator >= here.k,
                ANY_BIT => accumulator & here.k != 0,
                _ => unreachable!(),
            };
            counter += usize::from(if taken { here.jt } else { here.jf });
        }
    }

    #[track_caller]
    fn check(call: c_long, argument: i32, expected: u32) {
        let found = evaluate(ARCHITECTURE, number(call), argument.cast_unsigned());
        assert_eq!(found, expected, "call {call} with {argument}");
    }

    #[test]
    fn only_listed_calls_are_denied() {
        let errno = |error: i32| libc::SECCOMP_RET_ERRNO | error.cast_unsigned();
        let (allow, kill) = (libc::SECCOMP_RET_ALLOW, libc::SECCOMP_RET_KILL_PROCESS);
        for call in 0..1000 {
            let failed = FAILED.iter().find(|(listed, _)| *listed == call);
            let expected = match failed {
                Some((_, error)) => errno(*error),
                None if call == libc::SYS_clone3 => errno(libc::ENOSYS),
                None if call == libc::SYS_flock => errno(0),
                None if KILLED.contains(&call) || call == libc::SYS_unshare => kill,
                None => allow,
            };
            check(call, libc::AF_UNIX, expected);
        }
        for family in [libc::AF_INET, libc::AF_INET6, libc::AF_VSOCK, libc::AF_NETLINK] {
            check(libc::SYS_socket, family, errno(libc::EACCES));
        }
        for command in [libc::F_SETLK, libc::F_SETLKW, libc::F_OFD_SETLK, libc::F_OFD_SETLKW] {
            check(libc::SYS_fcntl, command, errno(0));
        }
        for command in [libc::F_GETLK, libc::F_SETLEASE, libc::F_NOTIFY] {
            check(libc::SYS_fcntl, command, errno(libc::EINVAL));
        }
        for command in [libc::F_DUPFD_CLOEXEC, libc::F_GETFL, libc::F_SETFD, libc::F_SETPIPE_SZ] {
            check(libc::SYS_fcntl, command, allow);
        }
        check(libc::SYS_clone, libc::SIGCHLD | libc::CLONE_VM | libc::CLONE_THREAD, allow);
        check(libc::SYS_clone, libc::SIGCHLD | libc::CLONE_NEWUSER, kill);
        check(libc::SYS_mmap, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, allow);
        check(libc::SYS_mmap, libc::MAP_PRIVATE | libc::MAP_HUGETLB, errno(libc::ENOMEM));
    }

    #[test]
    fn calls_of_other_architectures_are_killed() {
        let kill = libc::SECCOMP_RET_KILL_PROCESS;
        assert_eq!(evaluate(0x4000_0003, 1, 0), kill);
        assert_eq!(evaluate(ARCHITECTURE, X32 + 1, 0), kill);
    }
}
