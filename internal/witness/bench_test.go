package witness_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"vitrine.example/internal/store"
	"vitrine.example/internal/store/storetest"
	"vitrine.example/internal/witness"
	"vitrine.example/tlog"
)

// BenchmarkAddCheckpoint cosigns a growing log by both keys, each step on the
// disk before the answer: one request at a time, and for many logs at once.
func BenchmarkAddCheckpoint(b *testing.B) {
	for name, url := range map[string]func(testing.TB) string{"sqlite": storetest.SQLite, "postgres": storetest.Postgres} {
		b.Run(name, func(b *testing.B) {
			db, err := store.Open(b.Context(), url(b))
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = db.Close() }()
			w := newWitness(b, options(b, db))
			var logs atomic.Int64
			one := func(b *testing.B) func() {
				l := addLog(b, w, newLog(b, fmt.Sprintf("log.example/%d", logs.Add(1))))
				return func() {
					l.grow(1, "entry")
					if rec := post(w, l.request(l.size-1, l.size)); rec.Code != http.StatusOK {
						b.Errorf("status %d: %s", rec.Code, rec.Body)
					}
				}
			}
			b.Run("one log", func(b *testing.B) {
				step := one(b)
				for b.Loop() {
					step()
				}
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "cosigned/s")
			})
			b.Run("many logs", func(b *testing.B) {
				b.SetParallelism(8)
				b.RunParallel(func(pb *testing.PB) {
					step := one(b)
					for pb.Next() {
						step()
					}
				})
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "cosigned/s")
			})
		})
	}
}

// BenchmarkBesideLitewitness sends the same updates over HTTP to ours and to
// litewitness, which has no ML-DSA-44 key.
func BenchmarkBesideLitewitness(b *testing.B) {
	const logs = 16
	var all []*testLog
	var known []witness.Log
	for i := range logs {
		l := newLog(b, fmt.Sprintf("log.example/%d", i))
		all, known = append(all, l), append(known, l.log())
	}
	theirs, _ := litewitness(b, known)
	ours := func(keys ...tlog.KeyType) string {
		o := options(b, storetest.Open(b, storetest.SQLite(b)))
		o.Signers = slices.DeleteFunc(o.Signers, func(s *tlog.Signer) bool { return !slices.Contains(keys, s.Verifier().Type()) })
		w := newWitness(b, o)
		for _, l := range all {
			addLog(b, w, l)
		}
		srv := httptest.NewServer(w.Handler())
		b.Cleanup(srv.Close)
		return srv.URL
	}
	for _, c := range []struct{ name, url string }{
		{"vitrine, both keys", ours(tlog.Ed25519Cosignature, tlog.MLDSA44Cosignature)},
		{"vitrine, Ed25519", ours(tlog.Ed25519Cosignature)},
		{"litewitness, Ed25519", theirs},
	} {
		fresh := make([]*testLog, logs)
		for i, l := range all {
			fresh[i] = &testLog{origin: l.origin, signer: l.signer}
		}
		b.Run(c.name+"/one log", func(b *testing.B) {
			for b.Loop() {
				grow(b, c.url, fresh[0])
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "cosigned/s")
		})
		b.Run(c.name+"/16 logs", func(b *testing.B) {
			var wg sync.WaitGroup
			for _, l := range fresh {
				wg.Go(func() {
					for range max(1, b.N/logs) {
						grow(b, c.url, l)
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(max(1, b.N/logs)*logs)/b.Elapsed().Seconds(), "cosigned/s")
		})
	}
}

// grow grows a log by an entry and has it cosigned.
func grow(b *testing.B, url string, l *testLog) {
	l.grow(1, "entry")
	res, err := http.Post(url+"/add-checkpoint", "", bytes.NewReader(l.request(l.size-1, l.size).Marshal()))
	if err != nil {
		b.Error(err)
		return
	}
	_, err = io.Copy(io.Discard, res.Body)
	if err := errors.Join(err, res.Body.Close()); err != nil || res.StatusCode != http.StatusOK {
		b.Errorf("status %d, %v", res.StatusCode, err)
	}
}
