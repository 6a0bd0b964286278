package farm

import (
	"errors"
	"fmt"
	"time"

	"vitrine.example/digest"
	"vitrine.example/internal/rebuild"
	"vitrine.example/statement"
)

// check refuses an answer that says two things.
func (a *Answer) check() error {
	try := &a.Attempt
	switch {
	case try.Started.IsZero() || try.Finished.Before(try.Started):
		return errors.New("started, finished: want two times, in this order")
	case !try.OK() && (a.Result.Outcome != "" || a.Report != nil):
		return errors.New("a result of an attempt that made nothing")
	case len(a.Report) > MaxReport:
		return fmt.Errorf("an explanation of %d bytes, at most %d are allowed", len(a.Report), MaxReport)
	case try.OK() && a.Result.Outcome.Worse(statement.Failed):
		return fmt.Errorf("outcome %.40q", a.Result.Outcome)
	case try.Started.Location() != time.UTC || try.Finished.Location() != time.UTC:
		return errors.New("started, finished: want UTC")
	}
	switch a.Result.Outcome {
	case statement.Identical, statement.Explained, statement.Different:
		return nil
	case "", statement.Failed:
		if try.OK() {
			return errors.New("no outcome of an attempt that made all outputs")
		}
		return nil
	}
	return fmt.Errorf("outcome %.40q, want identical, explained or different", a.Result.Outcome)
}

// fits refuses an answer of which the node could say nothing: what is taken here
// is signed later, when the worker cannot be asked again. try is the attempt as
// it is kept.
func (a *Answer) fits(o *rebuild.Order, try *rebuild.Attempt) error {
	res, said := o.Fail(), rebuild.Said{Attempt: try, Outcome: statement.Failed}
	var explanation *statement.Evidence
	if try.OK() {
		res, said.Outcome = &a.Result, a.Result.Outcome
		if err := a.shipped(o); err != nil {
			return err
		}
		if a.Report != nil {
			explanation = &statement.Evidence{MediaType: rebuild.ExplanationType, Size: int64(len(a.Report)), SHA256: digest.Of(a.Report)}
		}
	}
	_, err := res.Statement(o, []rebuild.Said{said}, explanation)
	return err
}

// shipped compares what the answer speaks of with what was asked.
func (a *Answer) shipped(o *rebuild.Order) error {
	if len(a.Result.Artifacts) != len(o.Shipped) {
		return fmt.Errorf("%d artifacts, and the order has %d", len(a.Result.Artifacts), len(o.Shipped))
	}
	for i, s := range o.Shipped {
		if x := a.Result.Artifacts[i]; x.Name != s.Name || x.Shipped != s.SHA256 {
			return fmt.Errorf("artifact %d is %.80q with %s, and the order has %.80q with %s", i, x.Name, x.Shipped, s.Name, s.SHA256)
		}
	}
	return nil
}
