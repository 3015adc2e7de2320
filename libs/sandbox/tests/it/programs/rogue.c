// The first argument selects what this program does.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/vm_sockets.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void spin(double seconds) {
    clock_t end = clock() + (clock_t)(seconds * CLOCKS_PER_SEC);
    while (clock() < end) {}
}

static void fill(size_t bytes) {
    char *memory = mmap(0, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) { perror("mmap"); exit(9); }
    for (size_t i = 0; i < bytes; i += 4096) memory[i] = 1;
}

static void daemonise(void (*then)(void)) {
    if (fork() == 0) {
        setsid();
        if (fork() == 0) { then(); _exit(0); }
        _exit(0);
    }
    wait(0);
}

static void forever(void) { for (;;) {} }

// Prints the name of an attempt, and the error or "ok".
static void attempt(const char *name, long result) {
    printf("%s: %s\n", name, result < 0 ? strerrorname_np(errno) : "ok");
    fflush(stdout);
}

static long deep(long depth) {
    volatile char frame[1000];
    frame[0] = (char)depth;
    return depth == 0 ? frame[0] : deep(depth - 1) + frame[0];
}

static void *deep_in_thread(void *depth) { return (void *)(deep(*(long *)depth) & 0); }

// Prints the stack limits of the process and of new threads.
static void print_stacks(void) {
    pthread_attr_t attributes;
    pthread_getattr_default_np(&attributes);
    size_t size;
    pthread_attr_getstacksize(&attributes, &size);
    struct rlimit limit;
    getrlimit(RLIMIT_STACK, &limit);
    printf("%zu %lu %lu\n", size >> 20, limit.rlim_cur >> 20, limit.rlim_max >> 20);
    fflush(stdout);
}

static void *sleep_briefly(void *unused) { usleep(200000); return unused; }

static void sockets(void) {
    attempt("inet", socket(AF_INET, SOCK_STREAM, 0));
    attempt("inet datagram", socket(AF_INET, SOCK_DGRAM, 0));
    attempt("inet6", socket(AF_INET6, SOCK_STREAM, 0));
    attempt("vsock", socket(AF_VSOCK, SOCK_STREAM, 0));
    attempt("netlink", socket(AF_NETLINK, SOCK_RAW, 0));
    attempt("packet", socket(AF_PACKET, SOCK_RAW, 0));
    attempt("raw", socket(AF_INET, SOCK_RAW, 1));
    int pair[2];
    attempt("unix", socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
}

static void open_files(int count, char **paths) {
    for (int i = 0; i < count; i++) attempt(paths[i], open(paths[i], O_RDONLY | O_NONBLOCK));
}

static void links(void) {
    attempt("symlink", symlink("/etc/passwd", "/box/link"));
    attempt("symlink up", symlink("../../../../etc", "/box/up"));
    attempt("fifo", mkfifo("/box/fifo", 0666));
    attempt("directory", mkdir("/box/directory", 0777));
    attempt("device", mknod("/box/device", S_IFCHR | 0666, 0x103));
    attempt("hard link", link("/usr/bin/true", "/box/hard"));
    attempt("descriptor", symlink("/proc/self/fd/0", "/box/descriptor"));
    int file = open("/box/good", O_CREAT | O_WRONLY, 0600);
    attempt("good", write(file, "good\n", 5));
}

static void leave_files(void) {
    char name[64];
    for (int i = 0; i < 200; i++) {
        sprintf(name, "/tmp/%d", i);
        close(open(name, O_CREAT | O_WRONLY, 0));
    }
    close(open("/dev/shm/shared", O_CREAT | O_RDWR, 0666));
    for (int i = 0; i < 3000; i++) {
        if (mkdir("/box/deeper", 0700) != 0 && i == 0) { perror("mkdir"); exit(9); }
        // Move each directory into the next one, deeper than any path can be.
        sprintf(name, "/box/next");
        mkdir(name, 0700);
        rename("/box/deeper", "/box/next/deeper");
        rename("/box/next", "/box/deeper");
    }
}

static void others(void) {
    attempt("kill init", kill(1, SIGKILL));
    attempt("kill parent", kill(getppid(), SIGKILL));
    attempt("stop parent", kill(getppid(), SIGSTOP));
    attempt("terminate init", kill(1, SIGTERM));
    attempt("memory of init", open("/proc/1/mem", O_RDWR));
    attempt("status of init", open("/proc/1/status", O_RDONLY));
    attempt("priority", setpriority(PRIO_PROCESS, 0, -5));
    signal(SIGTERM, SIG_IGN);
    attempt("all processes", kill(-1, SIGTERM));
}

static void privileges(void) {
    attempt("root", setuid(0));
    attempt("device", open("/dev/mem", O_RDONLY));
    attempt("write /usr", open("/usr/x", O_CREAT | O_WRONLY, 0600));
    attempt("write /etc", open("/etc/passwd", O_WRONLY));
    attempt("write /app", open("/app/x", O_CREAT | O_WRONLY, 0600));
    attempt("write /", open("/x", O_CREAT | O_WRONLY, 0600));
    attempt("write /dev", open("/dev/x", O_CREAT | O_WRONLY, 0600));
    attempt("write /proc", open("/proc/self/comm", O_WRONLY));
    attempt("chmod /box", chmod("/box", 0777));
    attempt("io_uring", syscall(SYS_io_uring_setup, 1, 0));
    attempt("clone3", syscall(SYS_clone3, 0, 0));
    attempt("shared memory", syscall(SYS_shmget, 1, 4096, 0666));
    attempt("queue", syscall(SYS_mq_open, "x", O_CREAT, 0666, 0));
    cpu_set_t all;
    memset(&all, 255, sizeof all);
    attempt("cores", sched_setaffinity(0, sizeof all, &all));
    DIR *dir = opendir("/proc/self/fd");
    int count = -3;  // ".", ".." and the directory itself
    while (readdir(dir)) count++;
    printf("open files: %d\n", count);
}

// Opens the standard streams by their paths.
static void streams(void) {
    char name[32], link[256], text[64];
    for (int i = 0; i < 3; i++) {
        sprintf(name, "/proc/self/fd/%d", i);
        ssize_t length = readlink(name, link, sizeof link - 1);
        link[length < 0 ? 0 : length] = 0;
        printf("%d: %.*s\n", i, (int)strcspn(link, "["), link);
    }
    const char *inputs[] = {"/dev/stdin", "/proc/self/fd/0", "/dev/fd/0"};
    for (int i = 0; i < 3; i++) {
        ssize_t length = read(open(inputs[i], O_RDONLY), text, sizeof text);
        printf("%.*s", length < 0 ? 0 : (int)length, text);
    }
    char *mapped = mmap(0, 1, PROT_READ, MAP_SHARED, 0, 0);
    printf("map: %c\n", mapped == MAP_FAILED ? '-' : mapped[0]);
    attempt("seek", lseek(0, 1, SEEK_SET));
    attempt("change the input", open("/dev/stdin", O_WRONLY));
    const char *outputs[] = {"/dev/stdout", "/proc/self/fd/1", "/dev/stderr", "/dev/null"};
    for (int i = 0; i < 4; i++)
        write(open(outputs[i], O_WRONLY | O_CREAT | O_TRUNC, 0666), outputs[i] + 5, 3);
}

// Locks and watches a file.
static void locks(const char *path) {
    int file = open(path, O_RDONLY);
    struct flock lock = {.l_type = F_RDLCK}, query = {.l_type = F_WRLCK};
    attempt("flock", flock(file, LOCK_EX | LOCK_NB));
    attempt("record lock", fcntl(file, F_SETLK, &lock));
    attempt("open file lock", fcntl(file, F_OFD_SETLK, &lock));
    attempt("query", fcntl(file, F_GETLK, &query));
    attempt("lease", fcntl(file, F_SETLEASE, F_RDLCK));
    attempt("directory notification", fcntl(file, F_NOTIFY, DN_ACCESS));
    uint64_t hint = 0;
    attempt("write hint", fcntl(file, F_GET_RW_HINT, &hint));
    attempt("inotify", inotify_init1(0));
    attempt("fanotify", syscall(SYS_fanotify_init, 0, 0));
}

static void forbidden(const char *what) {
    if (!strcmp(what, "ptrace")) ptrace(PTRACE_ATTACH, 1, 0, 0);
    if (!strcmp(what, "traceme")) ptrace(PTRACE_TRACEME, 0, 0, 0);
    if (!strcmp(what, "vm_read")) {
        char byte;
        struct iovec one = {&byte, 1};
        process_vm_readv(1, &one, 1, &one, 1, 0);
    }
    if (!strcmp(what, "mount")) syscall(SYS_mount, "x", "/box", "tmpfs", 0, 0);
    if (!strcmp(what, "unshare")) unshare(CLONE_NEWUSER);
    if (!strcmp(what, "userns")) syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);
    if (!strcmp(what, "keyctl")) syscall(SYS_keyctl, 0, 0, 0);
    if (!strcmp(what, "bpf")) syscall(SYS_bpf, 0, 0, 0);
    if (!strcmp(what, "i386")) __asm__ volatile("int $0x80" : : "a"(20));  // getpid of i386
    if (!strcmp(what, "x32")) syscall(0x40000000 + SYS_getpid);
}

int main(int argc, char **argv) {
    const char *what = argc > 1 ? argv[1] : "";
    double number = argc > 2 ? atof(argv[2]) : 0;
    if (!strcmp(what, "exit")) return (int)number;
    if (!strcmp(what, "signal")) raise((int)number);
    if (!strcmp(what, "spin")) spin(number);
    if (!strcmp(what, "forever")) forever();
    if (!strcmp(what, "sleep")) usleep((useconds_t)(number * 1e6));
    if (!strcmp(what, "stop")) raise(SIGSTOP);
    if (!strcmp(what, "fork-bomb")) for (;;) fork();
    if (!strcmp(what, "memory")) fill((size_t)number << 20);
    if (!strcmp(what, "memory-children")) {
        for (int i = 0; i < 8; i++) if (fork() == 0) { fill((size_t)number << 20); sleep(60); }
        while (wait(0) > 0) {}
        return 0;
    }
    if (!strcmp(what, "flood")) for (;;) puts("All work and no play makes Jack a dull boy");
    if (!strcmp(what, "write")) for (long left = (long)number; left > 0; left--) putchar('x');
    if (!strcmp(what, "lines")) for (long i = 0; i < (long)number; i++) write(1, "line\n", 5);
    if (!strcmp(what, "daemons")) {
        for (int i = 0; i < 4; i++) daemonise(forever);
        usleep((useconds_t)(number * 1e6));
    }
    if (!strcmp(what, "spin-children")) {
        for (int i = 0; i < 4; i++) if (fork() == 0) { spin(number / 4); _exit(0); }
        while (wait(0) > 0) {}
    }
    if (!strcmp(what, "threads")) {
        pthread_t threads[64];
        int count = 0;
        while (count < (int)number && pthread_create(&threads[count], 0, sleep_briefly, 0) == 0) count++;
        for (int i = 0; i < count; i++) pthread_join(threads[i], 0);
        printf("%d\n", count);
    }
    if (!strcmp(what, "deep-thread")) {
        long depth = (long)(number * 1000);
        pthread_t thread;
        pthread_create(&thread, 0, deep_in_thread, &depth);
        pthread_join(thread, 0);
    }
    if (!strcmp(what, "stacks")) {
        print_stacks();
        struct rlimit limit;
        getrlimit(RLIMIT_STACK, &limit);
        // As programs do that want a larger stack.
        if (limit.rlim_cur < limit.rlim_max) {
            limit.rlim_cur = limit.rlim_max;
            attempt("raise", setrlimit(RLIMIT_STACK, &limit));
            execv(argv[0], argv);
        }
    }
    if (!strcmp(what, "deep")) printf("%ld\n", deep((long)(number * 1000)) & 0);
    if (!strcmp(what, "streams")) streams();
    if (!strcmp(what, "locks")) { locks(argv[2]); if (argc > 3) pause(); }
    if (!strcmp(what, "sockets")) sockets();
    if (!strcmp(what, "open")) open_files(argc - 2, argv + 2);
    if (!strcmp(what, "links")) links();
    if (!strcmp(what, "leave-files")) leave_files();
    if (!strcmp(what, "others")) others();
    if (!strcmp(what, "privileges")) privileges();
    if (!strcmp(what, "forbidden")) { forbidden(argv[2]); puts("survived"); }
    if (!strcmp(what, "file")) {
        int file = open("/box/file", O_CREAT | O_WRONLY, 0600);
        char block[65536] = {0};
        for (long i = 0; i < (long)number * 16; i++)
            if (write(file, block, sizeof block) < 0) { attempt("write", -1); return 1; }
    }
    if (!strcmp(what, "descriptors")) {
        int count = 0;
        while (dup(0) >= 0) count++;
        printf("%d\n", count + 3);
    }
    if (!strcmp(what, "cat")) {
        char buffer[4096];
        for (long length; (length = read(0, buffer, sizeof buffer)) > 0;) write(1, buffer, (size_t)length);
        write(2, "done\n", 5);
    }
    return 0;
}
