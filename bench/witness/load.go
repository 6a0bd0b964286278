package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
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

// send sends all requests, those of each log one after the other, and wants an
// answer of so many signature lines to each.
func send(ctx context.Context, url string, all []growing, lines int) (time.Duration, error) {
	client := newClient()
	defer client.CloseIdleConnections()
	errs := make([]error, len(all))
	var work sync.WaitGroup
	start := time.Now()
	for i, g := range all {
		work.Go(func() {
			for _, q := range g.requests {
				if errs[i] = post(ctx, client, url, q, lines); errs[i] != nil {
					return
				}
			}
		})
	}
	work.Wait()
	return time.Since(start), errors.Join(errs...)
}

func post(ctx context.Context, client *http.Client, url string, body []byte, lines int) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/add-checkpoint", bytes.NewReader(body))
	if err != nil {
		return err
	}
	res, err := client.Do(req)
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
	return nil
}
