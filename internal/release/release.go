// Package release turns files on a disk into a signed, logged release.
//
// [Publisher.Publish] hashes artifacts and source in one streaming pass,
// snapshots the source into the content store, reads SBOMs out of Go binaries,
// signs the release statement and hands it to the node's log. Interrupted, it
// continues where it was; run twice, it returns the first index. [Admit] is the
// node's check that nobody releases two things under one name.
//
// Everything that is given is looked at before anything is written, and what
// changes while it is read is refused by name. DESIGN.md says why a crash at
// any point leaves one statement and one index.
package release

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"vitrine.example/digest"
	"vitrine.example/internal/content"
	"vitrine.example/internal/store"
	"vitrine.example/key"
	"vitrine.example/statement"
)

// Bounds of what is released, in bytes.
const (
	MaxArtifact = 256 << 30
	MaxSource   = 64 << 30
)

// RecipeType is the media type of a recipe (docs/spec/recipe.md).
const RecipeType = "application/vnd.vitrine.recipe+toml"

// Errors that callers tell apart.
var (
	// ErrConflict says that a name is taken by another statement.
	ErrConflict = errors.New("something else was released under this name")
	// ErrSequence says that a release does not follow the newest of its channel.
	ErrSequence = errors.New("not the next release of the channel")
)

// Request is what to release.
type Request struct {
	Product   string         // package URL, with or without version
	Version   string         // empty: that of Product
	Channel   string         // empty: none
	Seq       int64          // 0 with a channel: the next one
	Previous  *digest.Digest // nil with a channel: the newest statement of it
	Artifacts []string       // paths
	Source    string         // path of a git repository, directory or tar file; empty: none
	Kind      string         // "git", "directory", "archive"; empty: found out
	Access    content.Class  // of the source; default Room
	SourceURI string
	Recipe    string // path of the recipe; empty: it is in the source, or there is none
	Notes     string // URL
}

// Stages of publishing, in their order, as [Progress] is told of them.
const (
	StageArtifacts = "artifacts" // bytes of all artifacts
	StageSource    = "source"    // bytes of the source
	StageLog       = "log"       // 0 of 1, then 1 of 1
)

// Progress is told how far a stage is; total is -1 where it is not known. It is
// called often, by one goroutine at a time.
type Progress func(stage string, done, total int64)

// Receipt is what the log says of a statement.
type Receipt struct {
	Index     int64  `json:"index"`
	Duplicate bool   `json:"duplicate"`
	Proof     []byte `json:"proof"` // text of a tlog-proof
}

// Submitter hands a signed statement to the node's log and waits until it is
// published. The node calls [Admit] before it logs.
type Submitter interface {
	Submit(ctx context.Context, envelope []byte) (Receipt, error)
}

// Publisher publishes releases of one node. Several may work at once, in one
// process or several.
type Publisher struct {
	DB       *store.DB
	Content  *content.Store
	Signer   *key.Signer
	Submit   Submitter
	Private  string                    // directory with the node's keys, which no source may hold; empty: none
	Now      func() (time.Time, error) // an error means: do not sign now
	Progress Progress                  // nil: nobody watches
	Log      *slog.Logger              // nil: nobody reads
}

// Published is a release in the log.
type Published struct {
	Envelope *statement.Envelope
	Release  *statement.Release
	Receipt
}

// Publish releases r. Run again with the same files and words it returns the
// statement and index of the first time.
func (p *Publisher) Publish(ctx context.Context, r Request) (*Published, error) {
	rel, err := r.outline()
	if err != nil {
		return nil, err
	}
	if err := p.foresee(ctx, rel, r); err != nil {
		return nil, err
	}
	files, err := openArtifacts(r.Artifacts)
	if err != nil {
		return nil, err
	}
	defer files.close()
	src, err := p.openSource(ctx, r)
	if err != nil {
		return nil, err
	}
	text, err := p.readRecipe(r.Recipe, files)
	if err != nil {
		return nil, err
	}
	if rel.Artifacts, err = p.storeArtifacts(ctx, files); err != nil {
		return nil, err
	}
	if src != nil {
		if rel.Source, err = p.storeSource(ctx, src, r); err != nil {
			return nil, err
		}
	}
	if rel.Recipe, err = p.storeRecipe(ctx, text); err != nil {
		return nil, err
	}
	return p.publish(ctx, rel, r)
}

// publish signs what is released and submits it. Where another publisher took
// its place in between, it looks again: there is a next number, or the other
// released the same, or it is a conflict.
func (p *Publisher) publish(ctx context.Context, rel *statement.Release, r Request) (*Published, error) {
	const attempts = 16
	for n := 1; ; n++ {
		env, err := p.prepare(ctx, rel, r)
		if err != nil {
			return nil, err
		}
		out, err := p.submit(ctx, env)
		if err == nil {
			return out, nil
		}
		overtaken, lookErr := p.overtaken(ctx, env)
		if !overtaken || n == attempts {
			return nil, errors.Join(err, lookErr)
		}
	}
}

// submit hands env to the log.
func (p *Publisher) submit(ctx context.Context, env *statement.Envelope) (*Published, error) {
	rel, err := env.Statement().Release()
	if err != nil {
		return nil, err
	}
	p.progress(StageLog, 0, 1)
	receipt, err := p.Submit.Submit(ctx, env.Bytes())
	if err != nil {
		return nil, fmt.Errorf("logging statement %s: %w", env.Digest(), err)
	}
	if err := p.noteIndex(ctx, env.Digest(), receipt.Index); err != nil {
		return nil, err
	}
	p.progress(StageLog, 1, 1)
	return &Published{Envelope: env, Release: rel, Receipt: receipt}, nil
}

func (p *Publisher) progress(stage string, done, total int64) {
	if p.Progress != nil {
		p.Progress(stage, done, total)
	}
}

func (p *Publisher) log() *slog.Logger {
	if p.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return p.Log
}
