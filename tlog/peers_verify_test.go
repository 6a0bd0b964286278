package tlog

import (
	"errors"
	"strings"

	"filippo.io/torchwood"
	flog "github.com/transparency-dev/formats/log"
	fnote "github.com/transparency-dev/formats/note"
	fproof "github.com/transparency-dev/formats/proof"
	fwitness "github.com/transparency-dev/formats/witness"
	mproof "github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"
)

// An accepting decides with real keys: nil is yes.
type accepting func(in string) error

func reads(r reading) accepting {
	return func(in string) error {
		_, err := r(in)
		return err
	}
}

func readers(rs map[string]reading) map[string]accepting {
	out := map[string]accepting{}
	for name, r := range rs {
		out[name] = reads(r)
	}
	return out
}

// noteVerifiers opens a note with the Ed25519 key of vkey.
func noteVerifiers(vkey string) map[string]accepting {
	return map[string]accepting{
		"vitrine": func(in string) error {
			v, err := ParseVerifier(vkey)
			if err != nil {
				return err
			}
			n, err := ParseNote([]byte(in))
			if err != nil {
				return err
			}
			_, err = v.VerifyNote(n)
			return err
		},
		"x/mod": func(in string) error {
			v, err := note.NewVerifier(vkey)
			if err != nil {
				return err
			}
			_, err = note.Open([]byte(in), note.VerifierList(v))
			return err
		},
	}
}

// checkpointVerifiers verify a checkpoint of any origin with the Ed25519 key of vkey.
func checkpointVerifiers(vkey string) map[string]accepting {
	return map[string]accepting{
		"vitrine": func(in string) error {
			v, err := ParseVerifier(vkey)
			if err != nil {
				return err
			}
			c, err := ParseCheckpoint([]byte(in))
			if err != nil {
				return err
			}
			_, err = v.Verify(c)
			return err
		},
		"torchwood": func(in string) error {
			v, err := note.NewVerifier(vkey)
			if err != nil {
				return err
			}
			origin, _, _ := strings.Cut(in, "\n")
			p := torchwood.ThresholdPolicy(2, torchwood.OriginPolicy(origin), torchwood.SingleVerifierPolicy(v))
			_, _, err = torchwood.VerifyCheckpoint([]byte(in), p)
			return err
		},
		"formats": func(in string) error {
			v, err := note.NewVerifier(vkey)
			if err != nil {
				return err
			}
			origin, _, _ := strings.Cut(in, "\n")
			_, _, _, err = flog.ParseCheckpoint([]byte(in), origin, v)
			return err
		},
	}
}

// cosignatureVerifiers take a vkey, a newline and a note.
func cosignatureVerifiers() map[string]accepting {
	return map[string]accepting{
		"vitrine": func(in string) error {
			vkey, text, _ := strings.Cut(in, "\n")
			return noteVerifiers(vkey)["vitrine"](text)
		},
		"torchwood": func(in string) error {
			vkey, text, _ := strings.Cut(in, "\n")
			v, err := torchwood.NewCosignatureVerifier(vkey)
			if err != nil {
				return err
			}
			_, err = note.Open([]byte(text), note.VerifierList(v))
			return err
		},
		"formats": func(in string) error {
			vkey, text, _ := strings.Cut(in, "\n")
			v, err := fnote.NewVerifier(vkey)
			if err != nil {
				return err
			}
			_, err = note.Open([]byte(text), note.VerifierList(v))
			return err
		},
	}
}

// checkers take a policy, a zero byte and a checkpoint. Formats knows nothing
// of logs in policies; the log's key goes to its checkpoint reader.
func checkers() map[string]accepting {
	return map[string]accepting{
		"vitrine": func(in string) error {
			policy, text, _ := strings.Cut(in, "\x00")
			p, err := ParsePolicy([]byte(policy))
			if err != nil {
				return err
			}
			c, err := ParseCheckpoint([]byte(text))
			if err != nil {
				return err
			}
			_, err = p.Check(c)
			return err
		},
		"torchwood": func(in string) error {
			policy, text, _ := strings.Cut(in, "\x00")
			p, err := torchwoodPolicy(policy)
			if err != nil {
				return err
			}
			_, _, err = torchwood.VerifyCheckpoint([]byte(text), p)
			return err
		},
		"formats": func(in string) error {
			policy, text, _ := strings.Cut(in, "\x00")
			g, err := fwitness.ParsePolicy([]byte(policy))
			if err != nil {
				return err
			}
			if err := formatsLogSigned(policy, text); err != nil {
				return err
			}
			if !g.Satisfied([]byte(text)) {
				return errors.New("not satisfied")
			}
			return nil
		},
	}
}

func formatsLogSigned(policy, text string) error {
	origin, _, _ := strings.Cut(text, "\n")
	for line := range strings.Lines(policy) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "log" {
			v, err := fnote.NewVerifier(f[1])
			if err != nil {
				return err
			}
			if _, _, _, err := flog.ParseCheckpoint([]byte(text), origin, v); err == nil && v.Name() == origin {
				return nil
			}
		}
	}
	return errors.New("no log has signed")
}

// proofVerifiers decide by a policy of one log whether leaf is proved.
func proofVerifiers(policy string, leaf Hash) map[string]accepting {
	return map[string]accepting{
		"vitrine": func(in string) error {
			p, err := ParsePolicy([]byte(policy))
			if err != nil {
				return err
			}
			q, err := ParseProof([]byte(in))
			if err != nil {
				return err
			}
			if err := q.VerifyInclusion(leaf); err != nil {
				return err
			}
			_, err = p.Check(q.Checkpoint)
			return err
		},
		"torchwood": func(in string) error {
			p, err := torchwoodPolicy(policy)
			if err != nil {
				return err
			}
			return torchwood.VerifyProof(p, leaf, []byte(in))
		},
		"formats": func(in string) error {
			var p fproof.TLogProof
			if err := p.Unmarshal([]byte(in)); err != nil {
				return err
			}
			if err := checkers()["formats"](policy + "\x00" + string(p.Checkpoint)); err != nil {
				return err
			}
			n, err := note.Open(p.Checkpoint, anyKey{})
			if err != nil {
				return err
			}
			var c flog.Checkpoint
			if _, err := c.Unmarshal([]byte(n.Text)); err != nil {
				return err
			}
			var path [][]byte
			for _, h := range p.Hashes {
				path = append(path, h[:])
			}
			return mproof.VerifyInclusion(rfc6962.DefaultHasher, p.Index, c.Size, leaf[:], path, c.Hash)
		},
	}
}
