// Command verify decides whether a file may be used: how a program of your own
// asks for a verdict, with nothing but the packages that vitrine offers to
// import. It reads three files, opens no connection and starts no process.
//
//	go run vitrine.example/examples/verify FILE BUNDLE POLICY
//
// It ends with 0 where the file is accepted, 1 where it is refused, and 2 where
// nothing could be decided.
package main

import (
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"time"

	"vitrine.example/digest"
	"vitrine.example/proof"
	"vitrine.example/verdict"
)

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: verify FILE BUNDLE POLICY")
		os.Exit(2)
	}
	v, err := decide(os.Args[1], os.Args[2], os.Args[3], time.Now())
	if err != nil {
		fmt.Fprintln(os.Stderr, "verify:", err)
		os.Exit(2)
	}
	fmt.Print(v)
	if !v.Accepted {
		os.Exit(1)
	}
}

// decide reads the three files and gives the verdict.
func decide(file, bundle, policy string, now time.Time) (*verdict.Verdict, error) {
	raw, err := bounded(policy, verdict.MaxPolicy)
	if err != nil {
		return nil, err
	}
	p, err := verdict.ParsePolicy(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", policy, err)
	}
	if raw, err = bounded(bundle, proof.MaxSize); err != nil {
		return nil, err
	}
	b, err := proof.Parse(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", bundle, err)
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	h := sha256.New()
	size, err := io.Copy(h, f)
	if err != nil {
		return nil, err
	}
	return verdict.Evaluate(p, verdict.Input{File: file, Size: size, Digest: digest.Digest(h.Sum(nil)), Bundle: b, Now: now}), nil
}

// bounded reads a file of at most max bytes: whoever gave it may mean harm.
func bounded(path string, max int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, max+1))
	if err == nil && int64(len(b)) > max {
		err = fmt.Errorf("%s has more than %d bytes", path, max)
	}
	return b, err
}
