package main

import (
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/s2attention/s2c/ir"
)

// tokenUnits are what may follow a number of tokens.
var tokenUnits = map[string]uint{"K": 10, "M": 20}

// parseTokens reads a number of tokens; K and M stand for 2¹⁰ and 2²⁰.
func parseTokens(text string) (int64, error) {
	digits, shift := text, uint(0)
	if last := len(text) - 1; last > 0 {
		if shift = tokenUnits[strings.ToUpper(text[last:])]; shift > 0 {
			digits = text[:last]
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n > math.MaxInt64>>shift || n < math.MinInt64>>shift {
		return 0, fmt.Errorf("%q is no number of tokens; write 8192 or 8K", text)
	}
	return n << shift, nil
}

// decodeTokens sets a flag of the type "tokens": an integer, or a pointer to one.
func decodeTokens(ctx *kong.DecodeContext, field reflect.Value) error {
	var text string
	if err := ctx.Scan.PopValueInto("tokens", &text); err != nil {
		return err
	}
	n, err := parseTokens(text)
	if err != nil {
		return err
	}
	if field.Kind() == reflect.Pointer {
		field.Set(reflect.New(field.Type().Elem()))
		field = field.Elem()
	}
	if field.OverflowInt(n) {
		return fmt.Errorf("%q is too large", text)
	}
	field.SetInt(n)
	return nil
}

// notTooLong refuses a number of tokens that no context has, before memory is
// taken for them.
func notTooLong(flag string, n *int) error {
	if n != nil && int64(*n) > ir.MaxTokens {
		return usagef("%s %d: a context has at most %d tokens", flag, *n, ir.MaxTokens)
	}
	return nil
}

// lengthList is a choice of lengths in tokens: "8192,32768" or "8K,1M".
type lengthList []int

// UnmarshalText reads lengths.
func (l *lengthList) UnmarshalText(text []byte) error {
	for part := range strings.SplitSeq(string(text), ",") {
		n, err := parseTokens(strings.TrimSpace(part))
		if err != nil || n < 1 || n > ir.MaxTokens {
			return fmt.Errorf("%q is no length in tokens; write 8192,32768 or 8K,32K, up to %d", part, ir.MaxTokens)
		}
		*l = append(*l, int(n))
	}
	return nil
}
