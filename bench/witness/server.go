package main

import (
	"bufio"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/pprof"
	"time"

	"filippo.io/mldsa"

	"vitrine.example/internal/mldsa44"
	"vitrine.example/internal/store"
	"vitrine.example/internal/witness"
	"vitrine.example/tlog"
)

const witnessName = "witness.example/w"

func realTime() (time.Time, error) { return time.Now(), nil }

// signers makes new keys of a witness.
func signers(keys string) ([]*tlog.Signer, error) {
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	private, err := mldsa.GenerateKey(mldsa.MLDSA44())
	if err != nil {
		return nil, err
	}
	ml, err := mldsa44.New(private)
	if err != nil {
		return nil, err
	}
	types := map[tlog.KeyType]crypto.Signer{tlog.Ed25519Cosignature: ed, tlog.MLDSA44Cosignature: ml}
	if keys == classic {
		delete(types, tlog.MLDSA44Cosignature)
	}
	var out []*tlog.Signer
	for typ, k := range types {
		s, err := tlog.NewSigner(witnessName, typ, k, realTime)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

// serve runs a witness of logs, as a node has it, in this process, until its
// input ends, and says where it is.
func serve(ctx context.Context, dir, keys string, vkeys []string) (err error) {
	db, err := store.Open(ctx, filepath.Join(dir, "witness.db"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	o := witness.Options{DB: db, State: filepath.Join(dir, "witness-state"), Log: slog.New(slog.DiscardHandler),
		Limits: witness.Limits{PerSecond: 1e6, Burst: 1e6}}
	if o.Signers, err = signers(keys); err != nil {
		return err
	}
	if err := witness.NewState(o.State); err != nil {
		return err
	}
	w, err := witness.Open(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	for _, k := range vkeys {
		v, err := tlog.ParseVerifier(k)
		if err != nil {
			return err
		}
		if err := w.Add(ctx, witness.Log{Origin: v.Name(), Keys: []tlog.Verifier{v}}); err != nil {
			return err
		}
	}
	stop, err := profiled()
	if err != nil {
		return err
	}
	defer stop()
	l, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	srv := &http.Server{Handler: w.Handler(), ReadHeaderTimeout: time.Minute}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		_ = srv.Close()
	}()
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// profiled begins a profile where one is wanted.
func profiled() (stop func(), err error) {
	if *profile == "" {
		return func() {}, nil
	}
	f, err := os.Create(*profile)
	if err != nil {
		return nil, err
	}
	return func() { pprof.StopCPUProfile(); _ = f.Close() }, pprof.StartCPUProfile(f)
}

// server is serve in another process.
type server struct {
	cmd  *exec.Cmd
	in   io.Closer
	addr string
}

func startServer(dir, keys string, grown []growing) (*server, error) {
	args := []string{"-serve", dir, "-keys", keys}
	if *profile != "" {
		args = append(args, "-cpuprofile", *profile+"."+keys)
	}
	for _, g := range grown {
		args = append(args, g.signer.Verifier().String())
	}
	p := &server{cmd: exec.Command(os.Args[0], args...)}
	p.cmd.Stderr = os.Stderr
	in, err := p.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	p.in = in
	line, err := bufio.NewReader(out).ReadString('\n')
	if err == nil {
		_, err = fmt.Sscan(line, &p.addr)
	}
	if err != nil {
		p.stop()
		return nil, fmt.Errorf("the server says nothing: %w", err)
	}
	return p, nil
}

// stop ends it and returns the processor time that it used.
func (p *server) stop() time.Duration {
	_ = p.in.Close()
	_ = p.cmd.Wait()
	return p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime()
}
