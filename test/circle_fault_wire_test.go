//go:build linux

package test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// wire is the network between nodes: a TUN device in the namespace of each, and
// this process, which carries packets from one to another. Unlike the kernel's
// netem, which is a module that not every kernel has, it needs no more than
// /dev/net/tun, and its dice are thrown from the test's seed.
//
// A packet that may not pass vanishes: no answer says that nobody is there,
// which is the worse kind of failure for whoever waits.
type wire struct {
	mu    sync.Mutex
	rng   *rand.Rand
	ports []*os.File // by number; the address ends in number + 1
	apart map[int]bool
	foul  weather
	lost  int
	sent  int
}

// weather is what happens to packets on their way.
type weather struct {
	delay, jitter     time.Duration
	loss, twice, late float64 // shares; late ones are overtaken
}

func (v weather) String() string {
	return fmt.Sprintf("delay %v jitter %v loss %.2f duplicate %.2f reorder %.2f", v.delay, v.jitter, v.loss, v.twice, v.late)
}

const (
	wireNet  = "10.77.0."
	wireMTU  = 1500
	wireLate = 50 * time.Millisecond
)

func wireAddr(port int) string { return fmt.Sprintf("%s%d", wireNet, port+1) }

// newWire makes the devices vt0, vt1 and so on. The last port is the observer's:
// what it sends and gets is left alone.
func newWire(ports int, seed uint64) (*wire, error) {
	w := &wire{rng: rand.New(rand.NewPCG(seed, 2))}
	for i := range ports {
		fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if err != nil {
			return nil, fmt.Errorf("opening /dev/net/tun: %w (the kernel needs the module tun, and the user access to the device)", err)
		}
		r, err := unix.NewIfreq(fmt.Sprintf("vt%d", i))
		if err != nil {
			return nil, err
		}
		r.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, r); err != nil {
			return nil, fmt.Errorf("making the device vt%d: %w", i, err)
		}
		w.ports = append(w.ports, os.NewFile(uintptr(fd), r.Name()))
	}
	return w, nil
}

// carry starts to carry packets, until the ports are closed.
func (w *wire) carry() {
	for i, p := range w.ports {
		go func() {
			for {
				b := make([]byte, wireMTU+64)
				n, err := p.Read(b)
				if err != nil {
					return
				}
				w.packet(i, b[:n])
			}
		}()
	}
}

// packet sends an IPv4 packet on; whatever else there is has nowhere to go.
func (w *wire) packet(from int, b []byte) {
	if len(b) < 20 || b[0]>>4 != 4 {
		return
	}
	to, ok := netip.AddrFromSlice(b[16:20])
	if !ok {
		return
	}
	for i, p := range w.ports {
		if to.String() != wireAddr(i) {
			continue
		}
		for _, d := range w.fate(from, i) {
			if d == 0 {
				_, _ = p.Write(b) // a full queue loses packets, as networks do
			} else {
				time.AfterFunc(d, func() { _, _ = p.Write(b) })
			}
		}
	}
}

// fate says after what time a packet arrives: never, once, or twice.
func (w *wire) fate(from, to int) []time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	if observer := len(w.ports) - 1; from == observer || to == observer {
		return []time.Duration{0}
	}
	w.sent++
	if w.apart[from] != w.apart[to] || w.rng.Float64() < w.foul.loss {
		w.lost++
		return nil
	}
	d := w.foul.delay
	if w.foul.jitter > 0 {
		d += time.Duration(w.rng.Int64N(int64(w.foul.jitter)))
	}
	if w.rng.Float64() < w.foul.late {
		d += wireLate
	}
	if w.rng.Float64() < w.foul.twice {
		return []time.Duration{d, d}
	}
	return []time.Duration{d}
}

// split parts some ports from all others.
func (w *wire) split(ports ...int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.apart = map[int]bool{}
	for _, p := range ports {
		w.apart[p] = true
	}
}

func (w *wire) join() { w.split() }

func (w *wire) spoil(v weather) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.foul = v
}

func (w *wire) close() {
	for _, p := range w.ports {
		_ = p.Close()
	}
}
