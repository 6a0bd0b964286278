//go:build linux

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

func init() {
	attacks["fork-bomb"] = forkBomb
	attacks["sleep"] = func([]string) { time.Sleep(time.Hour) }
	attacks["disk-fill"] = diskFill
	attacks["inode-fill"] = inodeFill
	attacks["log-flood"] = func([]string) {
		line := bytes.Repeat([]byte("x"), 4096)
		for {
			os.Stdout.Write(line)
		}
	}
	attacks["endless"] = func([]string) {
		signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
		exec.Command("/attack", "sleep").Start()
		time.Sleep(time.Hour)
	}
	attacks["burn"] = func([]string) {
		for n := 0; ; n++ {
		}
	}
	attacks["daemon"] = daemon
	attacks["beat"] = beat
	attacks["memory"] = memory
	attacks["memory-hidden"] = func([]string) {
		unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0) // which hides from those without power over us
		memory(nil)
	}
	attacks["memory-descriptors"] = func([]string) {
		for range 100 {
			exec.Command("/attack", "fill-sockets").Start()
			exec.Command("/attack", "fill-pipes").Start()
		}
		time.Sleep(time.Hour)
	}
	attacks["fill-sockets"] = func([]string) {
		fillPairs(func() ([2]int, error) {
			return unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0)
		})
	}
	attacks["fill-pipes"] = func([]string) {
		fillPairs(func() (p [2]int, err error) {
			err = unix.Pipe2(p[:], unix.O_NONBLOCK)
			return p, err
		})
	}
	attacks["memory-children"] = func([]string) {
		for range 64 {
			exec.Command("/attack", "memory-some").Start()
		}
		time.Sleep(time.Hour)
	}
	attacks["memory-some"] = func([]string) { touch(make([]byte, 16<<20)); time.Sleep(time.Hour) }
	attacks["memory-shared"] = memoryShared
	attacks["memory-files"] = memoryFiles
	attacks["out-symlink"] = func([]string) { os.Symlink("/etc/passwd", "/out") }
	attacks["out-symlink-dir"] = func([]string) { os.Symlink("/proc/self", "/d") }
	attacks["out-symlinks-inside"] = func([]string) {
		os.Mkdir("/out", 0o755)
		os.Symlink("/etc/passwd", "/out/link")
		os.Symlink("../../../../../../etc", "/out/dir")
	}
	attacks["out-fifo"] = func([]string) { syscall.Mkfifo("/out", 0o644) }
	attacks["out-socket"] = func([]string) { os.Mkdir("/out", 0o755); unixSocket("/out/s") }
	attacks["out-sparse"] = func([]string) {
		f, _ := os.Create("/out")
		try("truncate to an exabyte", f.Truncate(1<<60))
		try("truncate", f.Truncate(48<<20))
	}
	attacks["out-many"] = func(args []string) {
		os.Mkdir("/out", 0o755)
		for i := range atoi(args[0]) {
			os.WriteFile(fmt.Sprintf("/out/%d", i), nil, 0o644)
		}
	}
	attacks["out-deep"] = func(args []string) {
		os.Mkdir("/out", 0o755)
		os.Chdir("/out")
		for range atoi(args[0]) {
			os.Mkdir("d", 0o755)
			os.Chdir("d")
		}
	}
	attacks["out-names"] = func([]string) { os.Mkdir("/out", 0o755); os.WriteFile("/out/\xff\xfe", nil, 0o644) }
	attacks["out-modes"] = func([]string) {
		os.Mkdir("/out", 0o755)
		os.WriteFile("/out/su", []byte("x"), 0o755)
		os.Chmod("/out/su", 0o6755|os.ModeSetuid|os.ModeSetgid)
	}
	attacks["out-unreadable"] = func([]string) { os.WriteFile("/out", []byte("x"), 0); os.Chmod("/out", 0) }
	attacks["out-missing"] = func([]string) {}
}

func unixSocket(path string) {
	fd, _ := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	unix.Bind(fd, &unix.SockaddrUnix{Name: path})
}

func forkBomb([]string) {
	n := 0
	var err error
	for ; n < 20_000; n++ {
		cmd := exec.Command("/attack", "sleep")
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if err = cmd.Start(); err != nil {
			break
		}
	}
	say("forked", n)
	try("one more", err)
}

func fill(dir string) int64 {
	var sum int64
	block := make([]byte, 1<<20)
	for i := 0; ; i++ {
		f, err := os.Create(filepath.Join(dir, fmt.Sprint("fill", i)))
		if err != nil {
			return sum
		}
		for range 4 {
			n, err := f.Write(block)
			sum += int64(n)
			if err != nil {
				f.Close()
				return sum
			}
		}
		f.Close()
	}
}

func diskFill([]string) {
	var sum int64
	for _, dir := range []string{"/tmp", "/dev/shm", "/", "/work", "/dev"} {
		sum += fill(dir)
	}
	say("written", sum)
	os.Exit(1)
}

func inodeFill([]string) {
	n := 0
	for _, dir := range []string{"/tmp", "/dev/shm", "/"} {
		for i := 0; ; i++ {
			if err := os.Symlink("x", filepath.Join(dir, fmt.Sprint("i", i))); err != nil {
				try("one more in "+dir, err)
				break
			}
			if n++; n > 1_000_000 {
				break
			}
		}
	}
	say("made", n)
	os.Exit(1)
}

// daemon leaves a process behind that has cut all ties, and ends.
func daemon([]string) {
	cmd := exec.Command("/attack", "beat")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Stdout = os.Stdout
	cmd.Start()
	time.Sleep(300 * time.Millisecond)
}

func beat([]string) {
	signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGPIPE)
	f, _ := os.Create("/beat")
	for i := 0; i < 10_000; i++ {
		fmt.Println("beat")
		fmt.Fprintln(f, i)
		time.Sleep(10 * time.Millisecond)
	}
}

// fillPairs fills the buffers of as many pairs as can be had.
func fillPairs(pair func() ([2]int, error)) {
	block := make([]byte, 1<<16)
	for {
		p, err := pair()
		if err != nil {
			time.Sleep(time.Hour)
		}
		for _, fd := range p {
			for err = nil; err == nil; {
				_, err = unix.Write(fd, block)
			}
		}
	}
}

func touch(b []byte) {
	for i := 0; i < len(b); i += 4096 {
		b[i] = 1
	}
}

func memory([]string) {
	var all [][]byte
	for range 4096 {
		b := make([]byte, 4<<20)
		touch(b)
		all = append(all, b)
		time.Sleep(time.Millisecond)
	}
	say("took", len(all))
}

// memoryShared touches shared memory and lets go of the pages, not of the
// mapping: no process's resident set shows them any more.
func memoryShared([]string) {
	for i := range 4096 {
		b, err := unix.Mmap(-1, 0, 4<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_ANON)
		if err != nil {
			try("map", err)
			return
		}
		touch(b)
		unix.Madvise(b, unix.MADV_DONTNEED)
		if i%8 == 0 {
			time.Sleep(10 * time.Millisecond)
		}
	}
	say("took", 4096)
}

// memoryFiles tries memory that looks like files.
func memoryFiles([]string) {
	_, err := unix.MemfdCreate("x", 0)
	try("memfd_create", err)
	_, _, e := unix.Syscall(unix.SYS_MEMFD_SECRET, 0, 0, 0)
	try("memfd_secret", errno(e))
	_, err = unix.SysvShmGet(unix.IPC_PRIVATE, 1<<30, unix.IPC_CREAT|0o600)
	try("shmget", err)
	b, err := unix.Mmap(-1, 0, 1<<30, unix.PROT_READ, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_HUGETLB)
	if err == nil {
		unix.Munmap(b)
	}
	try("huge pages", err)
	try("mlock", unix.Mlock(make([]byte, 1<<20)))
	_, err = os.Create("/dev/hugepages/x")
	try("hugetlbfs", err)
}

func init() {
	attacks["daemon-and-sleep"] = func([]string) { daemon(nil); time.Sleep(time.Hour) }
}

func init() {
	attacks["spoil"] = func(args []string) {
		for _, path := range args {
			if strings.Count(path, "/") == 1 {
				os.Remove(path)
			}
			try(path, os.WriteFile(path, []byte("bad"), 0o644))
		}
	}
}
