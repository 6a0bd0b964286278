package main

import (
	"fmt"

	"vitrine.example/proof"
	"vitrine.example/tlog"
	"vitrine.example/verdict"
)

// forkFiles are the files of fork evidence that verify reads and writes.
type forkFiles struct {
	read  []string
	write string
}

// into reads bundles and evidence. The first bundle is the one decided on first.
func (m forkFiles) into(in *verdict.Input, bundles []string) error {
	var all []*proof.Bundle
	for _, path := range bundles {
		b, err := readBundle(path)
		if err != nil {
			return err
		}
		all = append(all, b)
	}
	in.Bundle, in.Others = all[0], all[1:]
	for _, path := range m.read {
		raw, err := readFile("fork evidence", path, tlog.MaxFork)
		if err != nil {
			return err
		}
		f, err := tlog.ParseFork(raw)
		if err != nil {
			return withHint(fmt.Errorf("reading %s: %w", path, err), "get the evidence again from where it came from")
		}
		in.Forks = append(in.Forks, f)
	}
	return nil
}

// judgeAll decides on each bundle beside the others: the file is accepted where
// all of them accept it. It writes the evidence where they show a fork.
func (c *console) judgeAll(p *verdict.Policy, in verdict.Input, m forkFiles) (*verdict.Verdict, error) {
	all := append([]*proof.Bundle{in.Bundle}, in.Others...)
	var v *verdict.Verdict
	for i, b := range all {
		in.Bundle = b
		in.Others = append(append([]*proof.Bundle{}, all[:i]...), all[i+1:]...)
		if w := verdict.Evaluate(p, in); v == nil || v.Accepted {
			v = w
		}
	}
	if f := verdict.Fork(p, in); f != nil && m.write != "" {
		if err := c.output(m.write, f.Marshal(), false); err != nil {
			return nil, err
		}
	}
	return v, nil
}
