package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"
)

// spent is what a piece of work took, of the clock and of the processors.
type spent struct {
	wall, cpu time.Duration
	others    time.Duration // of the processors, by everybody else; 0 where it is not known
}

// watch begins to watch the machine.
func watch() (since func(cpu time.Duration) spent) {
	start, before := time.Now(), busy()
	return func(cpu time.Duration) spent {
		return spent{wall: time.Since(start), cpu: cpu, others: max(0, busy()-before-cpu)}
	}
}

// busy is how long all processors together have worked (proc(5), /proc/stat); 0
// where it is not known. The file counts in hundredths of seconds.
func busy() time.Duration {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	var user, nice, system, idle, wait, irq, soft, steal int64
	line, _, _ := strings.Cut(string(b), "\n")
	if _, err := fmt.Sscanf(line, "cpu %d %d %d %d %d %d %d %d", &user, &nice, &system, &idle, &wait, &irq, &soft, &steal); err != nil {
		return 0
	}
	return time.Duration(user+nice+system+irq+soft+steal) * 10 * time.Millisecond
}

// rate is so many a second.
func (s spent) rate(n int64) float64 { return float64(n) / s.wall.Seconds() }

// each says what one of n took.
func (s spent) each(n int64) string {
	return fmt.Sprintf("%.1f s, %.0f µs of CPU each; others took %.2f of %d processors", s.wall.Seconds(),
		float64(s.cpu.Microseconds())/float64(n), s.others.Seconds()/s.wall.Seconds(), runtime.GOMAXPROCS(0))
}
