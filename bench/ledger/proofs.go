package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/transparency-dev/formats/proof"
	"github.com/transparency-dev/tessera/client"

	"vitrine.example/tlog"
)

// proofEntries is how large the log is whose entries are proved: the widest
// spread of tiles that can be filled in a few seconds.
const proofEntries = 20000

// proofs measures how many proofs of random entries one client gets in a second
// one after the other over one connection: finished from our /proof/, and made
// by Tessera's client from checkpoint and tiles, without anything kept from the
// proof before. Both read from the same server, ours.
func (b *bench) proofs(ctx context.Context) (err error) {
	l, err := b.ours(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.stop()) }()
	if err := l.fill(ctx, proofEntries); err != nil {
		return err
	}
	fmt.Printf("proofs: of random entries of %d, one client, %v each\n", proofEntries, *length)
	ours := func(ctx context.Context, index uint64) ([]byte, error) {
		return l.get(ctx, fmt.Sprintf("proof/%d", index))
	}
	theirs, err := l.cold()
	if err != nil {
		return err
	}
	var os, ts []float64
	for range *rounds {
		t, err := prove(ctx, theirs)
		if err != nil {
			return err
		}
		o, err := prove(ctx, ours)
		if err != nil {
			return err
		}
		fmt.Printf("  tessera/client cold %6.0f/s  vitrine /proof %6.0f/s  ratio %.2f\n", t, o, o/t)
		os, ts = append(os, o), append(ts, t)
	}
	same := func(f float64) float64 { return f }
	o, t := median(os, same), median(ts, same)
	fmt.Printf("  median: tessera/client cold %6.0f/s  vitrine /proof %6.0f/s  ratio %.2f (target: 3.00)\n", t, o, o/t)
	b.target(o >= 3*t, "fewer than 3 times the proofs of a cold client")
	return nil
}

// prove returns how many proofs a second f gives.
func prove(ctx context.Context, f func(context.Context, uint64) ([]byte, error)) (float64, error) {
	begun := time.Now()
	n := 0
	for ; time.Since(begun) < *length; n++ {
		raw, err := f(ctx, rand.Uint64N(proofEntries))
		if err != nil {
			return 0, err
		}
		if n == 0 { // what is measured must be proofs
			if _, err := tlog.ParseProof(raw); err != nil {
				return 0, err
			}
		}
	}
	return float64(n) / time.Since(begun).Seconds(), nil
}

// cold returns a maker of proofs that begins with the checkpoint each time.
func (l *log) cold() (func(context.Context, uint64) ([]byte, error), error) {
	v, err := tlog.ParseVerifier(l.vkey)
	if err != nil {
		return nil, err
	}
	root, err := url.Parse(l.url)
	if err != nil {
		return nil, err
	}
	f, err := client.NewHTTPFetcher(root, http.DefaultClient)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, index uint64) ([]byte, error) {
		cp, raw, _, err := client.FetchCheckpoint(ctx, f.ReadCheckpoint, v.NoteVerifier(), v.Name())
		if err != nil {
			return nil, err
		}
		pb, err := client.NewProofBuilder(ctx, cp.Size, f.ReadTile)
		if err != nil {
			return nil, err
		}
		path, err := pb.InclusionProof(ctx, index)
		if err != nil {
			return nil, err
		}
		p := proof.TLogProof{Index: index, Checkpoint: raw}
		for _, h := range path {
			p.Hashes = append(p.Hashes, [32]byte(h))
		}
		return p.Marshal(), nil
	}, nil
}

// fill adds n entries.
func (l *log) fill(ctx context.Context, n int) error {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1000}}
	work := make(chan int)
	errs := make(chan error, 1)
	var wg sync.WaitGroup
	for range 1000 {
		wg.Go(func() {
			for i := range work {
				if _, err := l.add(ctx, client, bytes.Repeat([]byte{byte(i), byte(i >> 8), byte(i >> 16)}, 50)); err != nil {
					select {
					case errs <- err:
					default:
					}
				}
			}
		})
	}
	for i := range n {
		work <- i
	}
	close(work)
	wg.Wait()
	select {
	case err := <-errs:
		return err
	default:
		return l.awaitSize(ctx, int64(n))
	}
}
