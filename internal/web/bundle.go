package web

import (
	"context"
	"fmt"
	"net/http"
	"path"
	"strings"

	"vitrine.example/digest"
	"vitrine.example/internal/projection"
	"vitrine.example/proof"
	"vitrine.example/statement"
	"vitrine.example/tlog"
)

// Proofs proves entries of others' logs, under the newest checkpoint that is
// held of them, with all its signatures.
type Proofs interface {
	Proof(ctx context.Context, origin string, index int64) (*tlog.Proof, error)
	// More returns a checkpoint of the own log with all cosignatures that are known.
	More(cp *tlog.SignedCheckpoint) *tlog.SignedCheckpoint
}

// What goes into a bundle at most.
const (
	maxBundled      = 32                     // releases of one file
	rebuildsOfALog  = 2                      // about each release, the newest
	maxRebuilds     = 64                     // in all
	bundleRoom      = proof.MaxSize - 64<<10 // bytes; the rest is for what stands around statements
	releasesOfALog  = 4                      // of a file, where the own log has none
	maxBundleSource = 64                     // other logs that are asked for a file
)

// bundle serves the bundle of a released file, or of one release by its
// statement, made now: the releases, and what is said in any log that the node
// follows of building them again.
func (s *site) bundle(w http.ResponseWriter, r *http.Request, d digest.Digest) error {
	ctx := r.Context()
	found, err := s.released(ctx, d)
	if err != nil {
		return err
	}
	var p parcel
	var newest *projection.Release
	for i := range found {
		ok, err := s.pack(ctx, &p, found[i].Origin, found[i].Statement, found[i].Index)
		if err != nil {
			return err
		}
		if ok && newest == nil {
			newest = &found[i]
		}
	}
	if newest == nil {
		return errNotFound
	}
	p.reverse() // in the order of the log
	left := maxRebuilds
	for i := range found {
		said, err := s.Projection.RebuildsOf(ctx, found[i].Statement, rebuildsOfALog, left)
		if err != nil {
			return err
		}
		for _, b := range said {
			if _, err := s.pack(ctx, &p, b.Origin, b.Statement, b.Index); err != nil {
				return err
			}
		}
		left -= len(said)
	}
	raw, err := p.Marshal()
	if err != nil {
		return fmt.Errorf("writing the bundle of %s: %w", d, err)
	}
	full, err := s.Projection.Release(ctx, newest.Statement)
	if err != nil {
		return err
	}
	attach(w, artifactName(full, d)+".vitrine")
	w.Header().Set("Cache-Control", "no-cache")
	send(w, proof.MediaType, raw)
	return nil
}

// released finds the releases that a digest means, the newest of a log first:
// those in the own log that ship the file; else the release with this
// statement; else those in other logs that ship the file.
func (s *site) released(ctx context.Context, d digest.Digest) ([]projection.Release, error) {
	found, err := s.Projection.Releases(ctx, projection.Filter{Artifact: d, Limit: maxBundled})
	if err != nil || len(found) > 0 {
		return found, err
	}
	one, err := s.Projection.Release(ctx, d)
	if err == nil {
		return []projection.Release{*one}, nil
	}
	if code, _ := status(err); code != http.StatusNotFound {
		return nil, err
	}
	logs, err := s.Projection.Logs(ctx)
	for i := 0; err == nil && i < min(len(logs), maxBundleSource) && len(found) < maxBundled; i++ {
		if logs[i].Own || s.Proofs == nil {
			continue
		}
		var some []projection.Release
		some, err = s.Projection.Releases(ctx, projection.Filter{
			Log: logs[i].Origin, Artifact: d, Limit: min(releasesOfALog, maxBundled-len(found)),
		})
		found = append(found, some...)
	}
	return found, err
}

// parcel is a bundle that is being filled.
type parcel struct {
	proof.Bundle
	size int
	seen map[string]bool
}

// pack puts a statement into a bundle, unless there is no room for it or it
// cannot be proved: what is wrong with another's log spoils no bundle.
func (s *site) pack(ctx context.Context, p *parcel, origin string, d digest.Digest, index int64) (bool, error) {
	name := d.String() + origin
	if p.seen[name] {
		return false, nil
	}
	l, err := s.proved(ctx, origin, d, index)
	if err != nil && origin != s.Info.Origin && ctx.Err() == nil {
		s.Logger.Warn("a statement of another's log is left out of a bundle", "log", origin, "index", index, "err", err)
		return false, nil
	} else if err != nil {
		return false, err
	}
	text := string(l.Proof.Marshal())
	size := len(l.Envelope.Bytes()) + len(text) + strings.Count(text, "\n") + 64
	if p.size+size > bundleRoom {
		return false, nil
	}
	if p.seen == nil {
		p.seen = map[string]bool{}
	}
	p.seen[name] = true
	p.size += size
	p.Statements = append(p.Statements, l)
	return true, nil
}

func (p *parcel) reverse() {
	for i, j := 0, len(p.Statements)-1; i < j; i, j = i+1, j-1 {
		p.Statements[i], p.Statements[j] = p.Statements[j], p.Statements[i]
	}
}

// proved puts a statement in any log and its proof together.
func (s *site) proved(ctx context.Context, origin string, d digest.Digest, index int64) (proof.Logged, error) {
	if origin == s.Info.Origin {
		return s.logged(ctx, d, index)
	}
	if s.Proofs == nil {
		return proof.Logged{}, fmt.Errorf("proving entry %d of %s: %w", index, origin, errNotFound)
	}
	env, err := s.stored(ctx, d)
	if err != nil {
		return proof.Logged{}, err
	}
	p, err := s.Proofs.Proof(ctx, origin, index)
	if err != nil {
		return proof.Logged{}, err
	}
	return proof.Logged{Envelope: env, Proof: p}, nil
}

// logged puts a statement in the own log and its proof together.
func (s *site) logged(ctx context.Context, d digest.Digest, index int64) (proof.Logged, error) {
	env, err := s.stored(ctx, d)
	if err != nil {
		return proof.Logged{}, err
	}
	text, err := s.Ledger.Proof(ctx, index)
	if err != nil {
		return proof.Logged{}, fmt.Errorf("proving entry %d: %w", index, err)
	}
	p, err := tlog.ParseProof(text)
	if err != nil {
		return proof.Logged{}, fmt.Errorf("proving entry %d: %w", index, err)
	}
	if s.Proofs != nil {
		p.Checkpoint = s.Proofs.More(p.Checkpoint)
	}
	return proof.Logged{Envelope: env, Proof: p}, nil
}

func (s *site) stored(ctx context.Context, d digest.Digest) (*statement.Envelope, error) {
	raw, err := s.publicBytes(ctx, d)
	if err != nil {
		return nil, fmt.Errorf("reading the statement %s: %w", d, err)
	}
	env, err := statement.Parse(raw)
	if err != nil {
		return nil, fmt.Errorf("reading the statement %s: %w", d, err)
	}
	return env, nil
}

func artifactName(r *projection.Release, d digest.Digest) string {
	for _, a := range r.Artifacts {
		if a.SHA256 == d {
			return path.Base(a.Name)
		}
	}
	return d.String()
}
