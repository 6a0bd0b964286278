package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"
)

const (
	perSecond = 200
	pollEvery = 5 * time.Millisecond

	maxPublish = 300 * time.Millisecond // target of the 99th percentile
)

// latency adds entries at a fixed rate, whatever the answers take, and measures
// the time from sending one to the first checkpoint, fetched over HTTP, that
// covers it. The same is done to both logs.
func (b *bench) latency(ctx context.Context) error {
	fmt.Printf("append → published: %d/s for %v, checkpoint fetched every %v\n", perSecond, *length, pollEvery)
	theirs, err := b.timed(ctx, b.conformance)
	if err != nil {
		return err
	}
	ours, err := b.timed(ctx, b.ours)
	if err != nil {
		return err
	}
	for _, q := range []float64{0.5, 0.99, 1} {
		t, o := quantile(theirs, q), quantile(ours, q)
		fmt.Printf("  p%-4.4g tessera %6d ms  vitrine %6d ms  ratio %.2f\n", q*100, t.Milliseconds(), o.Milliseconds(), float64(o)/float64(t))
	}
	b.target(quantile(ours, 0.99) <= maxPublish, "append → published p99 above 300 ms")
	fmt.Printf("  (target: p99 at most %d ms)\n", maxPublish.Milliseconds())
	return nil
}

func quantile(sorted []time.Duration, q float64) time.Duration {
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

// sent is an entry on its way.
type sent struct {
	at    time.Time
	index int64
	err   error
}

// timed returns the sorted times of all entries.
func (b *bench) timed(ctx context.Context, start func(context.Context) (*log, error)) (took []time.Duration, err error) {
	l, err := start(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, l.stop()) }()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1000}}
	n := int(length.Seconds() * perSecond)
	all := make([]sent, n)
	seen := make(chan []growthAt, 1)
	polling, stop := context.WithCancel(ctx)
	go func() { seen <- l.follow(polling) }()
	var wg sync.WaitGroup
	tick := time.NewTicker(time.Second / perSecond)
	defer tick.Stop()
	for i := range all {
		<-tick.C
		all[i].at = time.Now()
		wg.Go(func() {
			all[i].index, all[i].err = l.add(ctx, client, bytes.Repeat(fmt.Appendf(nil, "%09d ", i), *leafSize/10))
		})
	}
	wg.Wait()
	if err := l.awaitSize(ctx, int64(n)); err != nil {
		stop()
		return nil, err
	}
	time.Sleep(5 * pollEvery)
	stop()
	return match(all, <-seen)
}

// match finds for each entry the first checkpoint that covers it.
func match(all []sent, seen []growthAt) (took []time.Duration, err error) {
	for _, s := range all {
		if s.err != nil {
			return nil, s.err
		}
		i, _ := slices.BinarySearchFunc(seen, s.index+1, func(g growthAt, size int64) int { return int(g.size - size) })
		if i == len(seen) {
			return nil, fmt.Errorf("entry %d was never published", s.index)
		}
		took = append(took, seen[i].at.Sub(s.at))
	}
	slices.Sort(took)
	return took, nil
}

// growthAt is when a size was seen first.
type growthAt struct {
	size int64
	at   time.Time
}

// follow notes when the checkpoint grew, until the context ends.
func (l *log) follow(ctx context.Context) []growthAt {
	var out []growthAt
	for ctx.Err() == nil {
		if c, err := l.checkpoint(ctx); err == nil && (len(out) == 0 || c.Size > out[len(out)-1].size) {
			out = append(out, growthAt{c.Size, time.Now()})
		}
		time.Sleep(pollEvery)
	}
	return out
}

func (l *log) awaitSize(ctx context.Context, n int64) error {
	for range 1000 {
		if c, err := l.checkpoint(ctx); err == nil && c.Size >= n {
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return fmt.Errorf("%s did not reach %d entries", l.name, n)
}

func (l *log) add(ctx context.Context, client *http.Client, leaf []byte) (int64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, l.url+"add", bytes.NewReader(leaf))
	if err != nil {
		return 0, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	b, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		return 0, err
	}
	if resp.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("POST /add: %s: %s", resp.Status, b)
	}
	return strconv.ParseInt(string(b), 10, 64)
}
