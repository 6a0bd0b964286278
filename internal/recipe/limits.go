package recipe

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Limits bound a build. They are no part of the job digest: what is built
// within them does not depend on them.
type Limits struct {
	Memory    Size     `toml:"memory" json:"memory"`       // of all processes together
	Disk      Size     `toml:"disk" json:"disk"`           // what the build may write
	Root      Size     `toml:"root" json:"root"`           // what its root file system and inputs may take, unpacked
	Time      Duration `toml:"time" json:"time"`           // from start to end
	Log       Size     `toml:"log" json:"log"`             // stdout and stderr
	Output    Size     `toml:"output" json:"output"`       // all outputs together
	Processes int      `toml:"processes" json:"processes"` // at one time
}

// DefaultLimits are those of a recipe that names none.
func DefaultLimits() Limits {
	return Limits{Memory: 4 << 30, Disk: 8 << 30, Root: 8 << 30, Time: Duration(time.Hour), Log: 64 << 20, Output: 2 << 30, Processes: 4096}
}

// MaxLimits are the largest that a recipe may name.
func MaxLimits() Limits {
	return Limits{Memory: 256 << 30, Disk: 256 << 30, Root: 64 << 30, Time: Duration(48 * time.Hour), Log: 1 << 30, Output: 64 << 30, Processes: 65_536}
}

// Size is a number of bytes, written like 512MiB or 4GiB.
type Size int64

var sizeUnits = []struct {
	name  string
	bytes int64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}}

// UnmarshalText reads a size.
func (s *Size) UnmarshalText(b []byte) error {
	for _, u := range sizeUnits {
		if number, ok := strings.CutSuffix(string(b), u.name); ok {
			n, err := strconv.ParseInt(number, 10, 32)
			if err != nil || n < 1 || number[0] < '1' || number[0] > '9' {
				break
			}
			*s = Size(n * u.bytes)
			return nil
		}
	}
	return fmt.Errorf("%.40q is not a size such as 512MiB or 4GiB", b)
}

// MarshalText writes a size in the largest unit that divides it.
func (s Size) MarshalText() ([]byte, error) {
	for _, u := range sizeUnits {
		if int64(s) >= u.bytes && int64(s)%u.bytes == 0 {
			return fmt.Appendf(nil, "%d%s", int64(s)/u.bytes, u.name), nil
		}
	}
	return nil, fmt.Errorf("%d bytes cannot be written in whole KiB", int64(s))
}

// Duration is a time such as 1h30m.
type Duration time.Duration

// UnmarshalText reads a duration in whole seconds.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	if err != nil || v < time.Second || v%time.Second != 0 {
		return fmt.Errorf("%.40q is not a time in whole seconds such as 90s or 1h30m", b)
	}
	*d = Duration(v)
	return nil
}

// MarshalText writes it as Go does.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// orDefault fills in what is not named.
func (l Limits) orDefault() Limits {
	d := DefaultLimits()
	fill(&l.Memory, d.Memory)
	fill(&l.Disk, d.Disk)
	fill(&l.Root, d.Root)
	fill(&l.Time, d.Time)
	fill(&l.Log, d.Log)
	fill(&l.Output, d.Output)
	fill(&l.Processes, d.Processes)
	return l
}

func fill[T comparable](p *T, d T) {
	var zero T
	if *p == zero {
		*p = d
	}
}

// check returns the first limit that is too large, by its key.
func (l Limits) check() (string, error) {
	most := MaxLimits()
	for _, x := range []struct {
		key       string
		have, max Size
	}{{"memory", l.Memory, most.Memory}, {"disk", l.Disk, most.Disk}, {"root", l.Root, most.Root}, {"log", l.Log, most.Log}, {"output", l.Output, most.Output}} {
		if x.have > x.max {
			return x.key, fmt.Errorf("at most %d GiB are allowed", x.max>>30)
		}
	}
	switch {
	case l.Time > most.Time:
		return "time", fmt.Errorf("at most %s is allowed", time.Duration(most.Time))
	case l.Processes < 1 || l.Processes > most.Processes:
		return "processes", fmt.Errorf("%d, want 1 to %d", l.Processes, most.Processes)
	}
	return "", nil
}
