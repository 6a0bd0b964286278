package main

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	xtlog "golang.org/x/mod/sumdb/tlog"

	"vitrine.example/internal/mirror"
	"vitrine.example/internal/store"
	"vitrine.example/internal/witness"
	"vitrine.example/tlog"
)

// serve runs a mirror of one log in this process, until its input ends, and
// says where it is and with which key.
func serve(ctx context.Context, dir, vkey string) (err error) {
	db, err := store.Open(ctx, filepath.Join(dir, "mirror.db"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	s, err := tlog.NewSigner("localhost/mirror", tlog.Ed25519Cosignature, key, func() (time.Time, error) { return time.Now(), nil })
	if err != nil {
		return err
	}
	pending, err := witness.NewPending(witness.Options{DB: db})
	if err != nil {
		return err
	}
	m, err := mirror.New(ctx, mirror.Options{Dir: filepath.Join(dir, "mirrors"), DB: db, Pending: pending, Signers: []*tlog.Signer{s},
		Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	v, err := tlog.ParseVerifier(vkey)
	if err != nil {
		return err
	}
	if err := m.Add(ctx, v.Name(), []tlog.Verifier{v}, ""); err != nil {
		return err
	}
	l, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		return err
	}
	fmt.Printf("https://localhost:%d %s\n", l.Addr().(*net.TCPAddr).Port, s.Verifier())
	srv := &http.Server{Handler: m.Handler(), ReadHeaderTimeout: time.Minute}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		_ = srv.Close()
	}()
	if err := srv.ServeTLS(l, filepath.Join(dir, "mirror.pem"), filepath.Join(dir, "mirror-key.pem")); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// server is serve in another process.
type server struct {
	cmd       *exec.Cmd
	in        io.Closer
	url, vkey string
}

func startServer(dir, vkey string) (*server, error) {
	p := &server{cmd: exec.Command(os.Args[0], "-serve", dir, "-key", vkey)}
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
		_, err = fmt.Sscan(line, &p.url, &p.vkey)
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

// memLog is a log in memory; it is a mirror.Source.
type memLog struct {
	signer  *tlog.Signer
	entries [][]byte
	hashes  []tlog.Hash
	head    []byte
}

func newLog(n, size int, random io.Reader) (*memLog, error) {
	_, key, err := ed25519.GenerateKey(random)
	if err != nil {
		return nil, err
	}
	l := &memLog{}
	if l.signer, err = tlog.NewSigner("bench.example", tlog.Ed25519, key, nil); err != nil {
		return nil, err
	}
	for i := range n {
		e := make([]byte, size)
		if _, err := io.ReadFull(random, e); err != nil {
			return nil, err
		}
		h, err := xtlog.StoredHashes(int64(i), e, l)
		if err != nil {
			return nil, err
		}
		l.entries, l.hashes = append(l.entries, e), append(l.hashes, h...)
	}
	root, err := xtlog.TreeHash(int64(n), l)
	if err != nil {
		return nil, err
	}
	c := tlog.Checkpoint{Origin: l.signer.Name(), Size: int64(n), Root: root}
	sig, err := l.signer.SignCheckpoint(c)
	if err != nil {
		return nil, err
	}
	l.head = (&tlog.SignedCheckpoint{Checkpoint: c, Signatures: []tlog.Signature{sig}}).Marshal()
	return l, nil
}

// ReadHashes implements xtlog.HashReader.
func (l *memLog) ReadHashes(indexes []int64) (out []tlog.Hash, err error) {
	for _, i := range indexes {
		out = append(out, l.hashes[i])
	}
	return out, nil
}

// Read implements mirror.Source.
func (l *memLog) Read(_ context.Context, path string) ([]byte, error) {
	if path == "checkpoint" {
		return l.head, nil
	}
	t, err := tlog.ParseTilePath(path)
	if err != nil {
		return nil, err
	}
	if t.Level != tlog.EntriesLevel {
		return xtlog.ReadTileData(xtlog.Tile{H: 8, L: t.Level, N: t.Index, W: t.Width}, l)
	}
	var b []byte
	for _, e := range l.entries[t.Index*tlog.TileWidth:][:t.Width] {
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(e))), e...)
	}
	return b, nil
}
