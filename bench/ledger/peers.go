package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/mod/sumdb/note"

	"vitrine.example/test/peer"
	"vitrine.example/tlog"
)

// bench holds what the measurements share.
type bench struct {
	dir     string
	hammer  string // Tessera's load generator
	posix   string // Tessera's conformance server
	n       int    // logs started
	keyFile string // of our log
	vkey    string
	skey    string // file of the conformance server's key
	theirs  string // its verifier key
	missed  []string
}

// target notes a miss.
func (b *bench) target(met bool, what string) {
	if !met {
		b.missed = append(b.missed, what)
	}
}

func (b *bench) prepare(ctx context.Context) (err error) {
	if b.hammer, err = peer.Build(ctx, tessera+"/internal/hammer", tesseraVersion); err != nil {
		return err
	}
	if b.posix, err = peer.Build(ctx, tessera+"/cmd/conformance/posix", tesseraVersion); err != nil {
		return err
	}
	b.keyFile = filepath.Join(b.dir, "key")
	if b.vkey, err = makeKey(b.keyFile); err != nil {
		return err
	}
	sk, vk, err := note.GenerateKey(rand.Reader, origin)
	if err != nil {
		return err
	}
	b.skey, b.theirs = filepath.Join(b.dir, "their-key"), vk
	return os.WriteFile(b.skey, []byte(sk), 0o600)
}

// log is a running server.
type log struct {
	name string
	url  string
	vkey string
	cmd  *exec.Cmd
}

// ours starts a new log of ours in a process of its own.
func (b *bench) ours(ctx context.Context) (*log, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return b.start(ctx, "vitrine", b.vkey, func(dir, addr string) *exec.Cmd {
		return exec.Command(self, "-serve", dir, "-listen", addr, "-key", b.keyFile)
	})
}

// conformance starts a new log of Tessera's conformance server.
func (b *bench) conformance(ctx context.Context) (*log, error) {
	return b.start(ctx, "tessera", b.theirs, func(dir, addr string) *exec.Cmd {
		return exec.Command(b.posix, "--antispam", "--storage_dir="+dir, "--listen="+addr, "--private_key="+b.skey)
	})
}

func (b *bench) start(ctx context.Context, name, vkey string, command func(dir, addr string) *exec.Cmd) (*log, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	b.n++
	dir := filepath.Join(b.dir, fmt.Sprintf("%s-%d", name, b.n))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	l := &log{name: name, url: "http://" + addr + "/", vkey: vkey, cmd: command(dir, addr)}
	errs, err := os.Create(dir + ".log")
	if err != nil {
		return nil, err
	}
	defer errs.Close() //nolint:errcheck // the process has it
	l.cmd.Stderr = errs
	l.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := l.cmd.Start(); err != nil {
		return nil, err
	}
	for range 200 {
		if _, err = l.checkpoint(ctx); err == nil {
			return l, nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return nil, errors.Join(fmt.Errorf("%s did not start: see %s", name, errs.Name()), err, l.stop())
}

func freeAddr() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return ln.Addr().String(), ln.Close()
}

// stop ends the server. Tessera's has no orderly way to end.
func (l *log) stop() error {
	if err := l.cmd.Process.Kill(); err != nil {
		return err
	}
	_ = l.cmd.Wait() // killed
	return nil
}

func (l *log) get(ctx context.Context, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, l.url+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("GET /%s: %s", path, resp.Status)
	}
	return b, nil
}

func (l *log) checkpoint(ctx context.Context) (*tlog.SignedCheckpoint, error) {
	b, err := l.get(ctx, "checkpoint")
	if err != nil {
		return nil, err
	}
	return tlog.ParseCheckpoint(b)
}

// tick is the unit of CPU times in /proc, 100 a second on every Linux.
const tick = 10 * time.Millisecond

// cpu returns the CPU time that the server has used.
func (l *log) cpu() (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", l.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	// The second field is in parentheses and may hold anything (proc(5)).
	fields := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	var ticks time.Duration
	for _, f := range fields[11:13] {
		n, err := strconv.Atoi(string(f))
		if err != nil {
			return 0, err
		}
		ticks += time.Duration(n)
	}
	return ticks * tick, nil
}
