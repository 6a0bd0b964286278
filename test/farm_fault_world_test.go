//go:build linux

package test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// farmProcess is a node or a worker that is started again whenever it ends.
type farmProcess struct {
	args []string
	log  string

	mu      sync.Mutex
	process *os.Process
	stopped bool
	starts  int
	ended   chan struct{}
}

func startFarmProcess(t *testing.T, log string, args ...string) *farmProcess {
	p := &farmProcess{args: args, log: log, ended: make(chan struct{})}
	go p.keep()
	t.Cleanup(p.stop)
	return p
}

func (p *farmProcess) keep() {
	defer close(p.ended)
	runtime.LockOSThread() // Pdeathsig is about the thread that started it
	for {
		cmd := exec.Command(p.args[0], p.args[1:]...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		f, err := os.OpenFile(p.log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			return
		}
		cmd.Stdout, cmd.Stderr = f, f
		p.mu.Lock()
		if p.stopped || cmd.Start() != nil {
			p.mu.Unlock()
			_ = f.Close()
			return
		}
		p.process, p.starts = cmd.Process, p.starts+1
		p.mu.Unlock()
		_ = cmd.Wait() // killed, most of the time
		_ = f.Close()
		time.Sleep(100 * time.Millisecond)
	}
}

func (p *farmProcess) signal(s syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.process != nil {
		_ = p.process.Signal(s)
	}
}

func (p *farmProcess) stop() {
	p.mu.Lock()
	p.stopped = true
	p.mu.Unlock()
	p.signal(syscall.SIGCONT)
	p.signal(syscall.SIGKILL)
	<-p.ended
}

// farmWire is the way of one worker to one node. It can be cut: connections are
// closed, or hang and say nothing.
type farmWire struct {
	to    string
	l     net.Listener
	cut   atomic.Bool
	mu    sync.Mutex
	conns map[net.Conn]bool
}

func newFarmWire(t *testing.T, to string) *farmWire {
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &farmWire{to: to, l: l, conns: map[net.Conn]bool{}}
	t.Cleanup(func() { _ = l.Close(); w.closeAll() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go w.carry(c)
		}
	}()
	return w
}

func (w *farmWire) carry(c net.Conn) {
	d, err := net.DialTimeout("tcp", w.to, time.Second)
	if err != nil {
		_ = c.Close()
		return
	}
	w.keep(c, d)
	defer w.drop(c, d)
	done := make(chan struct{}, 2)
	for _, pair := range [][2]net.Conn{{c, d}, {d, c}} {
		go func() {
			defer func() { done <- struct{}{} }()
			buf := make([]byte, 32<<10)
			for {
				n, err := pair[0].Read(buf)
				for w.cut.Load() {
					time.Sleep(20 * time.Millisecond) // it hangs, and nobody is told
				}
				if n > 0 {
					if _, err := pair[1].Write(buf[:n]); err != nil {
						return
					}
				}
				if err != nil {
					return
				}
			}
		}()
	}
	<-done
}

func (w *farmWire) keep(cs ...net.Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range cs {
		w.conns[c] = true
	}
}

func (w *farmWire) drop(cs ...net.Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range cs {
		delete(w.conns, c)
		_ = c.Close()
	}
}

func (w *farmWire) closeAll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.conns {
		_ = c.Close()
	}
}

// farmTool is a static program that writes its argument to /out/app, after a time
// in which something can go wrong.
func farmTool(t *testing.T) []byte {
	t.Helper()
	dir := t.TempDir()
	src := `package main
import ("fmt"; "os"; "time")
func main() { fmt.Println("building", os.Args[1]); time.Sleep(time.Second); os.MkdirAll("/out", 0o755); if os.WriteFile("/out/app", []byte(os.Args[1]), 0o644) != nil { os.Exit(3) } }
`
	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte(src), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "build", "-ldflags=-s -w", "-o", "app", "main.go")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building the tool: %v\n%s", err, out)
	}
	b, err := os.ReadFile(filepath.Join(dir, "app"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func freeFarmAddr(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func mustRun(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.Command(args[0], args[1:]...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s%s", args[1:], err, out, &errs)
	}
	return string(out)
}

func farmName(i int) string { return fmt.Sprintf("w%d", i) }
