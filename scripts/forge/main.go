// Command forge does what a dishonest vendor would: it signs a second history of
// a log, of the same size as the published one and with other entries, and shows
// it to one witness. The demo and the tests use it to see that it is found out.
//
//	go run ./scripts/forge -key vendor/keys/log.pem -log http://127.0.0.1:8081 -witness http://127.0.0.1:8082/witness/
//
// It prints what the witness answered. It changes nothing at the log.
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	xtlog "golang.org/x/mod/sumdb/tlog"

	"vitrine.example/key"
	"vitrine.example/tlog"
)

// Bounds of what is asked and read.
const (
	maxSize   = 1 << 20
	maxAnswer = 64 << 10
	patience  = 30 * time.Second
)

func main() {
	keyFile := flag.String("key", "", "private Ed25519 key of the log")
	log := flag.String("log", "", "URL of the log, for the newest checkpoint")
	witness := flag.String("witness", "", "submission prefix of the witness")
	flag.Parse()
	if err := run(*keyFile, *log, *witness); err != nil {
		fmt.Fprintln(os.Stderr, "forge: error:", err)
		os.Exit(1)
	}
}

func run(keyFile, log, witness string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	status, raw, err := ask(ctx, http.MethodGet, strings.TrimSuffix(log, "/")+"/checkpoint", nil)
	if err != nil {
		return err
	}
	if status != http.StatusOK {
		return fmt.Errorf("the log answered %d: %s", status, raw)
	}
	honest, err := tlog.ParseCheckpoint(raw)
	if err != nil {
		return fmt.Errorf("the checkpoint of the log: %w", err)
	}
	forged, err := forge(keyFile, honest.Checkpoint)
	if err != nil {
		return err
	}
	q := tlog.AddCheckpoint{Old: honest.Size, Checkpoint: forged}
	status, answer, err := ask(ctx, http.MethodPost, strings.TrimSuffix(witness, "/")+"/add-checkpoint", q.Marshal())
	if err != nil {
		return err
	}
	fmt.Printf("real:   %d entries, root %v\nforged: %d entries, root %v\nthe witness answers %d: %s\n",
		honest.Size, honest.Root, forged.Size, forged.Root, status, strings.TrimSpace(string(answer)))
	return nil
}

// forge signs a tree of the same size with entries of its own.
func forge(keyFile string, c tlog.Checkpoint) (*tlog.SignedCheckpoint, error) {
	if c.Size < 1 || c.Size > maxSize {
		return nil, fmt.Errorf("the log has %d entries, want 1 to %d", c.Size, maxSize)
	}
	s, err := key.ReadPrivateFile(keyFile)
	if err != nil {
		return nil, err
	}
	signer, err := tlog.NewSigner(c.Origin, tlog.Ed25519, s, func() (time.Time, error) { return time.Now(), nil })
	if err != nil {
		return nil, fmt.Errorf("%s: %w", keyFile, err)
	}
	if c.Root, err = rootOfOther(c.Size); err != nil {
		return nil, err
	}
	sig, err := signer.SignCheckpoint(c)
	if err != nil {
		return nil, err
	}
	return &tlog.SignedCheckpoint{Checkpoint: c, Signatures: []tlog.Signature{sig}}, nil
}

// rootOfOther is the root of a tree of n entries that no log of ours holds.
func rootOfOther(n int64) (tlog.Hash, error) {
	var stored []tlog.Hash
	read := xtlog.HashReaderFunc(func(indexes []int64) (out []tlog.Hash, err error) {
		for _, i := range indexes {
			out = append(out, stored[i])
		}
		return out, nil
	})
	for i := range n {
		more, err := xtlog.StoredHashes(i, fmt.Appendf(nil, "another history, entry %d", i), read)
		if err != nil {
			return tlog.Hash{}, err
		}
		stored = append(stored, more...)
	}
	return xtlog.TreeHash(n, read)
}

func ask(ctx context.Context, method, url string, body []byte) (int, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return 0, nil, fmt.Errorf("reading the answer of %s: %w", url, err)
	}
	return res.StatusCode, b, nil
}
