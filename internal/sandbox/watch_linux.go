package sandbox

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// How often memory is looked at. Between two looks a job can take what the
// machine can clear in that time; where there is a cgroup it cannot.
const (
	lookEvery  = 50 * time.Millisecond
	againAfter = 20 * time.Millisecond
	mapsEvery  = 5 // looks
)

// watcher adds up the memory of all processes of the sandbox. It runs in
// process 1, whose /proc shows exactly these.
type watcher struct {
	gvisor bool
	limit  int64
	peak   atomic.Int64
	extra  int64 // shared memory, and what is beside, at the last look
}

// watch begins to look, and calls over once if the limit is passed.
func watch(o *orders, over func(seen int64)) *watcher {
	w := &watcher{limit: o.Limits.Memory, gvisor: o.Runsc != ""}
	go func() {
		for n := 0; ; n++ {
			start := time.Now()
			if w.look(n%mapsEvery == 0) > w.limit {
				// A child between vfork and exec shares its parent's memory and is
				// counted twice: believe it when it lasts, and count exactly.
				time.Sleep(againAfter)
				if seen := w.exactly(); seen > w.limit {
					over(seen)
					return
				}
			}
			time.Sleep(max(lookEvery, 10*time.Since(start)))
		}
	}()
	return w
}

func (w *watcher) most() int64 { return w.peak.Load() }

// look adds the private memory of all processes, roughly: what forks share is
// counted for each.
func (w *watcher) look(maps bool) int64 {
	var sum int64
	each(func(pid string) {
		b, err := os.ReadFile("/proc/" + pid + "/statm")
		if err != nil {
			return // it ended
		}
		f := bytes.Fields(b)
		if len(f) > 2 {
			sum += (number(f[1]) - number(f[2])) * int64(os.Getpagesize())
		}
	})
	if maps {
		w.extra = w.sharedMemory() + beside()
	}
	sum += w.extra
	if sum <= w.limit { // else exactly says
		w.peak.Store(max(w.peak.Load(), sum))
	}
	return sum
}

// exactly shares out what is shared (Pss).
func (w *watcher) exactly() int64 {
	var sum int64
	each(func(pid string) {
		b, err := os.ReadFile("/proc/" + pid + "/smaps_rollup")
		if err != nil {
			return
		}
		for line := range bytes.Lines(b) {
			if name, rest, ok := bytes.Cut(line, []byte(":")); ok && string(name) == "Pss_Anon" {
				if f := bytes.Fields(rest); len(f) > 0 {
					sum += number(f[0]) << 10
				}
			}
		}
	})
	sum += w.sharedMemory() + beside()
	w.peak.Store(max(w.peak.Load(), sum))
	return sum
}

// sharedMemory adds up the sizes of all mappings of shared memory without a
// name, touched or not: what was touched and unmapped from a process stays, and
// shows in no process's resident set.
func (w *watcher) sharedMemory() int64 {
	if w.gvisor {
		return guestMemory()
	}
	sizes := map[string]int64{} // by inode, the same in each process that shares it
	each(func(pid string) {
		f, err := os.Open("/proc/" + pid + "/maps")
		if err != nil {
			return
		}
		defer f.Close()
		own := map[string]int64{}
		sc := bufio.NewScanner(io.LimitReader(f, 64<<20))
		for sc.Scan() {
			if line := sc.Text(); strings.HasSuffix(line, "/dev/zero (deleted)") {
				inode, size := mapping(line)
				own[inode] += size
			}
		}
		for inode, size := range own {
			sizes[inode] = max(sizes[inode], size)
		}
	})
	var sum int64
	for _, n := range sizes {
		sum += n
	}
	return sum
}

// What the kernel may hold for a descriptor (two ends of a pipe have two pages,
// once the user's allowance for more is spent: pipe(7)) and for a socket (twice
// net.core.wmem_max, as it is by default).
const (
	perDescriptor = 4096
	freeSlots     = 64 // of the table that every process has
	perSocket     = 2 * 212_992
)

// beside adds up what is in no process's memory: private pages out on swap,
// and what can be full of data behind descriptors.
func beside() int64 {
	var sum int64
	each(func(pid string) {
		b, err := os.ReadFile("/proc/" + pid + "/status")
		if err != nil {
			return
		}
		sum += field(b, "\nVmSwap:")<<10 + max(0, field(b, "\nFDSize:")-freeSlots)*perDescriptor
	})
	b, _ := os.ReadFile("/proc/net/sockstat")
	return sum + field(b, "sockets: used")*perSocket
}

// field is the number after name.
func field(b []byte, name string) int64 {
	if _, rest, ok := bytes.Cut(b, []byte(name)); ok {
		if f := bytes.Fields(rest[:min(len(rest), 64)]); len(f) > 0 {
			return number(f[0])
		}
	}
	return 0
}

// guestMemory is what gVisor's kernel has taken for its processes: files that
// exist in memory only.
func guestMemory() int64 {
	sizes := map[uint64]int64{}
	each(func(pid string) {
		dir := "/proc/" + pid + "/fd/"
		entries, err := os.ReadDir(dir)
		if err != nil {
			return
		}
		for _, e := range entries {
			var st unix.Stat_t
			if target, err := os.Readlink(dir + e.Name()); err == nil && strings.HasPrefix(target, "/memfd:") &&
				unix.Stat(dir+e.Name(), &st) == nil {
				sizes[st.Ino] = st.Blocks * 512
			}
		}
	})
	var sum int64
	for _, n := range sizes {
		sum += n
	}
	return sum
}

// mapping reads "start-end perms offset dev inode name".
func mapping(line string) (inode string, size int64) {
	f := strings.Fields(line)
	if len(f) < 5 {
		return "", 0
	}
	from, to, _ := strings.Cut(f[0], "-")
	a, _ := strconv.ParseUint(from, 16, 64)
	b, _ := strconv.ParseUint(to, 16, 64)
	return f[4], int64(b - a)
}

// each calls f for all processes but the first.
func each(f func(pid string)) {
	d, err := os.Open("/proc")
	if err != nil {
		return
	}
	defer d.Close()
	names, _ := d.Readdirnames(-1)
	for _, n := range names {
		if n[0] >= '1' && n[0] <= '9' && n != "1" {
			f(n)
		}
	}
}

func number(b []byte) int64 {
	n, _ := strconv.ParseInt(string(b), 10, 64)
	return n
}

// lutimes sets the time of a symbolic link itself.
func lutimes(name string, at time.Time) error {
	ts := unix.NsecToTimespec(at.UnixNano())
	return unix.UtimesNanoAt(unix.AT_FDCWD, name, []unix.Timespec{ts, ts}, unix.AT_SYMLINK_NOFOLLOW)
}
