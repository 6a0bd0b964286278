package peer

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
	_ "modernc.org/sqlite" // fills the tables of logs
)

// LitewitnessVersion is the version that is run.
const LitewitnessVersion = "v0.9.0"

// Litewitness is a witness of torchwood that runs. Its key is in an ssh-agent that
// this process serves.
type Litewitness struct {
	URL string
	Key ed25519.PublicKey

	name, dir, addr, program string
	agent                    net.Listener
	cmd                      *exec.Cmd
	out                      bytes.Buffer
}

// WitnessedLog is a log that a witness is told of.
type WitnessedLog struct {
	Origin string
	Keys   []string // verifier keys
}

// StartLitewitness starts one of this name in an empty directory that knows these
// logs. The caller stops it.
func StartLitewitness(ctx context.Context, dir, name string, logs []WitnessedLog) (*Litewitness, error) {
	program, err := Build(ctx, "filippo.io/torchwood/cmd/litewitness", LitewitnessVersion)
	if err != nil {
		return nil, err
	}
	l := &Litewitness{name: name, dir: dir, program: program}
	if l.addr, err = freePort(); err != nil {
		return nil, err
	}
	l.URL = "http://" + l.addr
	if err := l.serveAgent(); err != nil {
		return nil, err
	}
	if err = l.run(ctx); err == nil { // makes the tables
		l.kill()
		err = l.configure(ctx, logs)
	}
	if err == nil {
		err = l.run(ctx)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("starting litewitness: %w: %s", err, l.out.Bytes()), l.agent.Close())
	}
	return l, nil
}

// Stop ends it.
func (l *Litewitness) Stop() error {
	l.kill()
	return l.agent.Close()
}

// CPU is the processor time that it has used since it knew its logs; call it after
// Stop. What the agent uses is not in it.
func (l *Litewitness) CPU() time.Duration {
	return l.cmd.ProcessState.UserTime() + l.cmd.ProcessState.SystemTime()
}

func (l *Litewitness) kill() {
	_ = l.cmd.Process.Kill()
	_ = l.cmd.Wait()
}

func (l *Litewitness) run(ctx context.Context) error {
	public, err := ssh.NewPublicKey(l.Key)
	if err != nil {
		return err
	}
	l.cmd = exec.Command(l.program, "-db", filepath.Join(l.dir, "db"), "-name", l.name, "-ssh-agent", l.agent.Addr().String(),
		"-key", ssh.FingerprintSHA256(public), "-listen", l.addr)
	l.cmd.Stdout, l.cmd.Stderr = &l.out, &l.out
	if err := l.cmd.Start(); err != nil {
		return err
	}
	for range 200 {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, l.URL+"/", nil)
		if err != nil {
			return err
		}
		res, err := http.DefaultClient.Do(req)
		if err == nil {
			return res.Body.Close()
		}
		time.Sleep(50 * time.Millisecond)
	}
	l.kill()
	return errors.New("it does not answer")
}

// serveAgent serves an ssh-agent with one new key.
func (l *Litewitness) serveAgent() error {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	l.Key = public
	ring := agent.NewKeyring()
	if err := ring.Add(agent.AddedKey{PrivateKey: private}); err != nil {
		return err
	}
	if l.agent, err = net.Listen("unix", filepath.Join(l.dir, "agent")); err != nil {
		return err
	}
	go func() {
		for {
			c, err := l.agent.Accept()
			if err != nil {
				return
			}
			go func() { _ = agent.ServeAgent(ring, c) }()
		}
	}()
	return nil
}

// configure writes the logs into its database, as its witnessctl does, which does
// not build from the module proxy.
func (l *Litewitness) configure(ctx context.Context, logs []WitnessedLog) (err error) {
	db, err := sql.Open("sqlite", filepath.Join(l.dir, "db"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	empty := sha256.Sum256(nil)
	for _, w := range logs {
		if _, err := db.ExecContext(ctx, `INSERT INTO log (origin, tree_size, tree_hash) VALUES (?, 0, ?)`,
			w.Origin, base64.StdEncoding.EncodeToString(empty[:])); err != nil {
			return err
		}
		for _, k := range w.Keys {
			if _, err := db.ExecContext(ctx, `INSERT INTO key (origin, key) VALUES (?, ?)`, w.Origin, k); err != nil {
				return err
			}
		}
	}
	return nil
}
