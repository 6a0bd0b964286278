package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	xtlog "golang.org/x/mod/sumdb/tlog"

	"vitrine.example/tlog"
)

// growing is a log and the requests that have it cosigned as it grows by an entry
// each time, made before the time is taken.
type growing struct {
	signer   *tlog.Signer
	requests [][]byte
}

func grow(logs, steps int) ([]growing, error) {
	out := make([]growing, logs)
	errs := make([]error, logs)
	var work sync.WaitGroup
	for i := range out {
		work.Go(func() { out[i], errs[i] = newGrowing(fmt.Sprintf("log.example/%d", i), int64(steps)) })
	}
	work.Wait()
	return out, errors.Join(errs...)
}

func newGrowing(origin string, steps int64) (g growing, err error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return g, err
	}
	if g.signer, err = tlog.NewSigner(origin, tlog.Ed25519, key, nil); err != nil {
		return g, err
	}
	var t hashes
	for n := int64(1); n <= steps; n++ {
		h, err := xtlog.StoredHashes(n-1, fmt.Append(nil, "entry ", n), &t)
		if err != nil {
			return g, err
		}
		t = append(t, h...)
		q, err := g.request(t, n)
		if err != nil {
			return g, err
		}
		g.requests = append(g.requests, q.Marshal())
	}
	return g, nil
}

// request asks for the step from n-1 to n entries.
func (g growing) request(t hashes, n int64) (*tlog.AddCheckpoint, error) {
	root, err := xtlog.TreeHash(n, &t)
	if err != nil {
		return nil, err
	}
	var proof xtlog.TreeProof
	if n > 1 {
		if proof, err = xtlog.ProveTree(n, n-1, &t); err != nil {
			return nil, err
		}
	}
	c := tlog.Checkpoint{Origin: g.signer.Name(), Size: n, Root: root}
	sig, err := g.signer.SignCheckpoint(c)
	if err != nil {
		return nil, err
	}
	return &tlog.AddCheckpoint{
		Old: n - 1, Proof: proof,
		Checkpoint: &tlog.SignedCheckpoint{Checkpoint: c, Signatures: []tlog.Signature{sig}},
	}, nil
}

// hashes are those of a tree, as x/mod numbers them.
type hashes []tlog.Hash

// ReadHashes implements xtlog.HashReader.
func (t *hashes) ReadHashes(indexes []int64) (out []tlog.Hash, err error) {
	for _, i := range indexes {
		out = append(out, (*t)[i])
	}
	return out, nil
}

// send sends all requests, those of each log one after the other on a connection of
// its own, and wants an answer of so many signature lines to each.
func send(ctx context.Context, addr string, all []growing, lines int) (time.Duration, error) {
	errs := make([]error, len(all))
	var work sync.WaitGroup
	start := time.Now()
	for i, g := range all {
		work.Go(func() { errs[i] = sendOne(ctx, addr, g.requests, lines) })
	}
	work.Wait()
	return time.Since(start), errors.Join(errs...)
}

// sendOne writes and reads HTTP itself: http.Client, with goroutines of its own for
// each connection, would take more of the processors, which the servers need.
func sendOne(ctx context.Context, addr string, requests [][]byte, lines int) error {
	c, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close() //nolint:errcheck // nothing is lost
	in := bufio.NewReader(c)
	for _, q := range requests {
		if _, err := c.Write(fmt.Appendf(nil, "POST /add-checkpoint HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n\r\n%s", addr, len(q), q)); err != nil {
			return err
		}
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			return err
		}
		b, err := io.ReadAll(res.Body)
		if err := errors.Join(err, res.Body.Close()); err != nil {
			return err
		}
		if res.StatusCode != http.StatusOK || bytes.Count(b, []byte("\n")) != lines {
			return fmt.Errorf("answered %s: %.200q", res.Status, b)
		}
	}
	return nil
}
