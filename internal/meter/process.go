package meter

import (
	"bytes"
	"os"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// measured is a set of metrics that are measured together, under the names that
// dashboards for Go programs look for.
type measured struct {
	all  []family
	read func(set func(name string, v float64))
}

func (m *measured) describe() []family { return m.all }

func (m *measured) collect() []family {
	found := map[string]float64{}
	m.read(func(name string, v float64) { found[name] = v })
	var out []family
	for _, f := range m.all {
		suffixes := []string{""}
		if f.kind == summaryKind {
			suffixes = []string{"_sum", "_count"}
		}
		f.samples = nil
		for _, s := range suffixes {
			if v, ok := found[f.name+s]; ok {
				f.samples = append(f.samples, sample{suffix: s, value: v})
			}
		}
		out = append(out, f)
	}
	return out
}

// Runtime shows what the Go runtime knows of itself.
func Runtime() Collector {
	return &measured{
		all: []family{
			{name: "go_goroutines", kind: gaugeKind, help: "Goroutines that exist."},
			{name: "go_threads", kind: gaugeKind, help: "Threads of the operating system that were made."},
			{name: "go_gc_duration_seconds", kind: summaryKind, help: "Pauses of the garbage collector."},
			{name: "go_memstats_alloc_bytes", kind: gaugeKind, help: "Bytes in use on the heap."},
			{name: "go_memstats_alloc_bytes_total", kind: counterKind, help: "Bytes that were ever taken from the heap."},
			{name: "go_memstats_mallocs_total", kind: counterKind, help: "Objects that were ever made on the heap."},
			{name: "go_memstats_frees_total", kind: counterKind, help: "Objects of the heap that were freed."},
			{name: "go_memstats_heap_inuse_bytes", kind: gaugeKind, help: "Bytes of the heap's spans in use."},
			{name: "go_memstats_heap_idle_bytes", kind: gaugeKind, help: "Bytes of the heap's spans not in use."},
			{name: "go_memstats_heap_released_bytes", kind: gaugeKind, help: "Bytes that were given back to the operating system."},
			{name: "go_memstats_stack_inuse_bytes", kind: gaugeKind, help: "Bytes of stacks."},
			{name: "go_memstats_next_gc_bytes", kind: gaugeKind, help: "Size of the heap at which it is collected next."},
			{name: "go_memstats_sys_bytes", kind: gaugeKind, help: "Bytes that were taken from the operating system."},
		},
		read: func(set func(string, float64)) {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			threads, _ := runtime.ThreadCreateProfile(nil)
			set("go_goroutines", float64(runtime.NumGoroutine()))
			set("go_threads", float64(threads))
			set("go_gc_duration_seconds_sum", float64(m.PauseTotalNs)/1e9)
			set("go_gc_duration_seconds_count", float64(m.NumGC))
			set("go_memstats_alloc_bytes", float64(m.HeapAlloc))
			set("go_memstats_alloc_bytes_total", float64(m.TotalAlloc))
			set("go_memstats_mallocs_total", float64(m.Mallocs))
			set("go_memstats_frees_total", float64(m.Frees))
			set("go_memstats_heap_inuse_bytes", float64(m.HeapInuse))
			set("go_memstats_heap_idle_bytes", float64(m.HeapIdle))
			set("go_memstats_heap_released_bytes", float64(m.HeapReleased))
			set("go_memstats_stack_inuse_bytes", float64(m.StackInuse))
			set("go_memstats_next_gc_bytes", float64(m.NextGC))
			set("go_memstats_sys_bytes", float64(m.Sys))
		},
	}
}

// Process shows what the operating system knows of this process. What a system
// without /proc does not tell is left out.
func Process() Collector {
	return &measured{
		all: []family{
			{name: "process_cpu_seconds_total", kind: counterKind, help: "Seconds of CPU time, in user and system."},
			{name: "process_max_fds", kind: gaugeKind, help: "Files that may be open."},
			{name: "process_open_fds", kind: gaugeKind, help: "Files that are open."},
			{name: "process_resident_memory_bytes", kind: gaugeKind, help: "Bytes in memory."},
			{name: "process_start_time_seconds", kind: gaugeKind, help: "When the process was started, since 1970."},
			{name: "process_virtual_memory_bytes", kind: gaugeKind, help: "Bytes of address space."},
		},
		read: func(set func(string, float64)) {
			var r unix.Rusage
			if unix.Getrusage(unix.RUSAGE_SELF, &r) == nil {
				set("process_cpu_seconds_total", seconds(r.Utime)+seconds(r.Stime))
			}
			var l unix.Rlimit
			if unix.Getrlimit(unix.RLIMIT_NOFILE, &l) == nil {
				set("process_max_fds", float64(l.Cur))
			}
			if open, err := os.ReadDir("/proc/self/fd"); err == nil {
				set("process_open_fds", float64(len(open)-1)) // one is that of the directory
			}
			status(set)
		},
	}
}

func seconds(t unix.Timeval) float64 { return float64(t.Sec) + float64(t.Usec)/1e6 }

// ticks is the unit of times in /proc, the same on every Linux (proc(5)).
const ticks = 100

// status reads /proc/self/stat (proc_pid_stat(5)). The name of the program, in
// parentheses, may hold anything; the fields after it are numbered from 3.
func status(set func(string, float64)) {
	raw, err := os.ReadFile("/proc/self/stat")
	end := bytes.LastIndexByte(raw, ')')
	if err != nil || end < 0 {
		return
	}
	fields := strings.Fields(string(raw[end+1:]))
	field := func(n int) (float64, bool) {
		if n-3 >= len(fields) {
			return 0, false
		}
		v, err := strconv.ParseFloat(fields[n-3], 64)
		return v, err == nil
	}
	if v, ok := field(23); ok {
		set("process_virtual_memory_bytes", v)
	}
	if v, ok := field(24); ok {
		set("process_resident_memory_bytes", v*float64(os.Getpagesize()))
	}
	if v, ok := field(22); ok {
		if boot, ok := bootTime(); ok {
			set("process_start_time_seconds", boot+v/ticks)
		}
	}
}

// bootTime returns when the machine was started (proc_stat(5), btime).
func bootTime() (float64, bool) {
	raw, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(raw)) {
		if s, ok := strings.CutPrefix(line, "btime "); ok {
			v, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
			return v, err == nil
		}
	}
	return 0, false
}
