package main

import (
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"vitrine.example/digest"
	"vitrine.example/tlog"
)

// forkReport is what verify-fork says, and its JSON.
type forkReport struct {
	Holds     bool       `json:"holds"`
	Digest    string     `json:"digest"`
	Origin    string     `json:"origin"`
	Kind      string     `json:"kind"`
	Entry     *int64     `json:"entry,omitempty"`
	A         forkSide   `json:"a"`
	B         forkSide   `json:"b"`
	Why       string     `json:"why,omitempty"` // where it does not hold
	Witnesses []forkSeen `json:"witnesses,omitempty"`
}

type forkSide struct {
	Size int64  `json:"size"`
	Root string `json:"root"`
}

// forkSeen says whether a witness has cosigned both sides.
type forkSeen struct {
	Name string `json:"name"`
	Both bool   `json:"both"`
}

func newLogVerifyFork(c *console) *cobra.Command {
	var keys, witnesses []string
	cmd := &cobra.Command{
		Use:   "verify-fork FILE",
		Short: "decide offline whether a log has signed two histories",
		Long: `Decide whether FILE is evidence that a log signed two checkpoints that cannot both
be true. It needs the log's verifier key and nothing else; no network is used.

Exits 0 where the evidence holds, 1 where it does not, 2 where nothing could be
decided. With --witness it also says whether that witness cosigned both sides.`,
		Example: `  vitrine log verify-fork evidence.fork --vkey "$(cat log.vkey)"`,
		Args:    operands("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(keys) == 0 {
				return usage(cmd, errors.New("--vkey is missing: want the log's verifier key"))
			}
			logs, err := parseVkeys("vkey", keys)
			if err != nil {
				return usage(cmd, err)
			}
			seen, err := parseVkeys("witness", witnesses)
			if err != nil {
				return usage(cmd, err)
			}
			return c.verifyFork(args[0], logs, seen)
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&keys, "vkey", nil, "verifier `key` of the log; again for a log that has changed keys")
	f.StringArrayVar(&witnesses, "witness", nil, "verifier `key` of a witness to look for")
	c.jsonFlag(cmd)
	return cmd
}

func parseVkeys(flag string, texts []string) (out []tlog.Verifier, err error) {
	for _, s := range texts {
		v, err := tlog.ParseVerifier(s)
		if err != nil {
			return nil, fmt.Errorf("--%s: %w", flag, err)
		}
		out = append(out, v)
	}
	return out, nil
}

func (c *console) verifyFork(path string, keys, witnesses []tlog.Verifier) error {
	raw, err := readFile("fork evidence", path, tlog.MaxFork)
	if err != nil {
		return err
	}
	f, err := tlog.ParseFork(raw)
	if errors.Is(err, tlog.ErrNoFork) {
		return no(fmt.Errorf("reading %s: %w", path, err), "nothing is shown about the log")
	}
	if err != nil {
		return withHint(fmt.Errorf("reading %s: %w", path, err), "get the evidence again from where it came from")
	}
	r := reportFork(f)
	bad := f.Verify(keys...)
	if r.Holds = bad == nil; !r.Holds {
		r.Why = bad.Error()
	} else if err := r.look(f, witnesses); err != nil {
		return err
	}
	if err := c.result(r, func() { c.showFork(r) }); err != nil {
		return err
	}
	if bad != nil {
		return no(fmt.Errorf("%s is no evidence against %s: %w", path, f.Origin(), bad), "check that --vkey is the key of the log %s", f.Origin())
	}
	return nil
}

func reportFork(f *tlog.Fork) *forkReport {
	side := func(s *tlog.SignedCheckpoint) forkSide {
		return forkSide{s.Size, base64.StdEncoding.EncodeToString(s.Root[:])}
	}
	r := &forkReport{Digest: digest.Digest(f.Digest()).String(), Origin: f.Origin(), Kind: string(f.Kind), A: side(f.A), B: side(f.B)}
	if f.Kind == tlog.ForkEntry {
		r.Entry = &f.Index
	}
	return r
}

func (r *forkReport) look(f *tlog.Fork, witnesses []tlog.Verifier) error {
	for _, w := range witnesses {
		both, err := f.CosignedBoth(w)
		if err != nil {
			return err
		}
		r.Witnesses = append(r.Witnesses, forkSeen{w.Name(), both})
	}
	return nil
}

func (c *console) showFork(r *forkReport) {
	c.row("log", oneLine(r.Origin))
	c.row("digest", r.Digest)
	c.row("signed", fmt.Sprintf("%d entries, root %s", r.A.Size, r.A.Root))
	c.row("and", fmt.Sprintf("%d entries, root %s", r.B.Size, r.B.Root))
	c.row("says", forkWords(r))
	for _, w := range r.Witnesses {
		if w.Both {
			c.row("WITNESS", oneLine(w.Name)+" cosigned both")
		} else {
			c.row("witness", oneLine(w.Name)+" did not cosign both")
		}
	}
	if r.Holds {
		c.row("evidence", "holds: the log has signed two histories")
	} else {
		c.row("evidence", "does not hold")
	}
}

// forkWords says what the two checkpoints contradict each other in.
func forkWords(r *forkReport) string {
	switch tlog.ForkKind(r.Kind) {
	case tlog.ForkSize:
		return "one size, two roots"
	case tlog.ForkGrowth:
		return fmt.Sprintf("the first %d entries of the larger tree are not the smaller tree", r.A.Size)
	}
	return fmt.Sprintf("entry %d is one thing in the first and another in the second", *r.Entry)
}
