package clock

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// fake is a clock that tests set.
type fake struct{ t time.Time }

func (f *fake) now() time.Time { return f.t }

// epoch has a zone and nanoseconds, which must not matter.
var epoch = time.Date(2026, 8, 2, 10, 0, 0, 123456789, time.FixedZone("", 7200))

func must(t *testing.T, path string, f *fake) *Guard {
	t.Helper()
	g, err := Open(path, f.now)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestNow(t *testing.T) {
	path := filepath.Join(t.TempDir(), "clock")
	f := &fake{epoch}
	g := must(t, path, f)
	ok := func(name string, want time.Time) {
		t.Helper()
		got, err := g.Now()
		if err != nil || !got.Equal(want.Truncate(time.Microsecond)) || got.Location() != time.UTC {
			t.Errorf("%s: got %v, %v; want %v", name, got, err, want)
		}
	}
	refused := func(name string) {
		t.Helper()
		got, err := g.Now()
		if !errors.Is(err, ErrBackwards) {
			t.Errorf("%s: got %v, %v", name, got, err)
		}
	}
	ok("first", epoch)
	f.t = epoch.Add(10 * time.Second)
	ok("later", f.t)
	top := f.t
	f.t = top.Add(-Tolerance)
	ok("back by what is tolerated", top)
	f.t = top.Add(-Tolerance - time.Microsecond)
	refused("back by more")
	f.t = top.Add(-time.Hour)
	refused("back by an hour")
	_, err := g.Now()
	for _, want := range []string{"2026-08-02T07:00:10.123456Z", "2026-08-02T08:00:10.123456Z", path} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not tell %s", err, want)
		}
	}

	g = must(t, path, f)
	refused("back by an hour after a restart")
	f.t = top
	for range 100 { // and does not creep ahead
		g = must(t, path, f)
		ok("restart in the same second stands still", top.Add(horizon))
	}
	f.t = top.Add(horizon / 2)
	ok("still", top.Add(horizon))
	f.t = top.Add(2 * horizon)
	ok("and goes on", f.t)
}

// TestCommands: programs that ask once, one after the other, get the time as it is.
func TestCommands(t *testing.T) {
	path := filepath.Join(t.TempDir(), "clock")
	f := &fake{epoch.UTC().Truncate(time.Microsecond)}
	for range 50 {
		f.t = f.t.Add(time.Millisecond)
		if got, err := must(t, path, f).Now(); err != nil || !got.Equal(f.t) {
			t.Fatalf("got %v, %v at %v", got, err, f.t)
		}
	}
}

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "clock")
	f := &fake{epoch}
	if _, err := must(t, path, f).Now(); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if err != nil || string(got) != "2026-08-02T08:00:00.123456Z\n" {
		t.Errorf("file is %q, %v", got, err)
	}
	if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", fi.Mode(), err)
	}
	for _, bad := range []string{
		"", "\n", "2026-08-02T08:00:00.123456Z", "2026-08-02T08:00:00.123456Z\n\n", "2026-08-02T08:00:00Z\n",
		"2026-13-02T08:00:00.123456Z\n", "2026-08-02T08:00:00.123456+00:00\n", "2026-08-02T08:00:00,123456Z\n",
		" 2026-08-02T08:00:00.123456Z\n", strings.Repeat("2", 1<<20),
	} {
		if err := os.WriteFile(path, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(path, f.now); err == nil || !strings.Contains(err.Error(), path) || len(err.Error()) > 500 {
			t.Errorf("%.40q: %v", bad, err)
		}
	}
}

// TestUnwritable: a time that cannot be noted is not given out.
func TestUnwritable(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "sub")
	path := filepath.Join(dir, "clock")
	f := &fake{epoch}
	g := must(t, path, f)
	if got, err := g.Now(); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("without its directory: %v, %v", got, err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := g.Now(); err != nil {
			t.Fatal(err)
		}
		f.t = epoch.Add(time.Millisecond)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	f.t = epoch.Add(horizon + 1)
	if _, err := g.Now(); err != nil {
		t.Errorf("within what is covered: %v", err)
	}
	f.t = epoch.Add(2*horizon + time.Millisecond)
	if got, err := g.Now(); err == nil {
		t.Errorf("beyond what is covered: %v", got)
	}
}

// TestTwoGuards: the mark of a file never goes back.
func TestTwoGuards(t *testing.T) {
	path := filepath.Join(t.TempDir(), "clock")
	slow, fast := &fake{epoch}, &fake{epoch.Add(time.Hour)}
	a, b := must(t, path, slow), must(t, path, fast)
	if _, err := b.Now(); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Now(); err != nil {
		t.Fatal(err)
	}
	if _, err := must(t, path, slow).Now(); !errors.Is(err, ErrBackwards) {
		t.Errorf("the later mark was lost: %v", err)
	}
}

func TestManyGoroutines(t *testing.T) {
	g, err := Open(filepath.Join(t.TempDir(), "clock"), nil)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			var last time.Time
			for range 2000 {
				got, err := g.Now()
				if err != nil || got.Before(last) {
					t.Errorf("%v after %v, %v", got, last, err)
					return
				}
				last = got
			}
		})
	}
	wg.Wait()
}

// TestManyGuards: several guards write one file at once; it is whole at any
// moment, and nothing else is left.
func TestManyGuards(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "clock")
	if err := os.WriteFile(path+".tmp", []byte("2026-08-02T0"), 0o600); err != nil { // of a crash
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() {
			f := &fake{epoch}
			for range 20 {
				f.t = f.t.Add(time.Duration(i+1) * 300 * time.Millisecond)
				g, err := Open(path, f.now)
				if err == nil {
					_, err = g.Now()
				}
				if err != nil && !errors.Is(err, ErrBackwards) {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 {
		t.Errorf("left %v, %v", left, err)
	}
}

// TestLaws lets a clock wander, restarts the guard now and then, and holds it to
// its promises.
func TestLaws(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(rt *rapid.T) {
		path := filepath.Join(dir, "clock")
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			rt.Fatal(err)
		}
		f := &fake{epoch}
		var g *Guard
		var last time.Time   // the latest that was given out
		var lastMark string  // the last content of the file
		var opened int       // times since the last write
		var restarted = true // since the last success
		for range rapid.IntRange(1, 60).Draw(rt, "steps") {
			if g == nil || rapid.IntRange(0, 9).Draw(rt, "restart") == 0 {
				var err error
				if g, err = Open(path, f.now); err != nil {
					rt.Fatal(err)
				}
				restarted = true
				opened++
			}
			f.t = f.t.Add(time.Duration(rapid.Int64Range(-8_000, 9_000).Draw(rt, "ms")) * time.Millisecond)
			got, err := g.Now()
			back := last.Sub(f.t) // how far the clock is behind; negative when ahead
			slack := time.Duration(0)
			if restarted {
				slack = horizon // what the file does not tell
			}
			switch {
			case err == nil && got.Before(last):
				rt.Fatalf("%v after %v", got, last)
			case err == nil && !last.IsZero() && back > Tolerance+slack+time.Microsecond:
				rt.Fatalf("clock %v back and not noticed", back)
			case err != nil && !errors.Is(err, ErrBackwards):
				rt.Fatal(err)
			case err != nil && back <= Tolerance:
				rt.Fatalf("clock %v back and refused: %v", back, err)
			case err == nil && got.Sub(f.t) > Tolerance+horizon:
				rt.Fatalf("clock %v, given %v", f.t, got)
			}
			if err != nil {
				continue
			}
			mark, rerr := os.ReadFile(path)
			if rerr != nil {
				rt.Fatal(rerr)
			}
			if m, _ := load(path); string(mark) != lastMark {
				if m.Sub(got) > horizon {
					rt.Fatalf("wrote %v for %v", m, got)
				}
				if old, perr := time.Parse(layout+"\n", lastMark); perr == nil && m.Sub(old) < horizon && opened == 0 {
					rt.Fatalf("wrote %v after %v", m, old)
				}
				opened = 0
			}
			last, lastMark, restarted = got, string(mark), false
		}
	})
}
