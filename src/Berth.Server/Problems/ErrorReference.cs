using System.Text;
using Berth.Api.Errors;

namespace Berth.Server.Problems;

/// <summary>Writes docs/reference/errors.md from the catalogue of errors.</summary>
public static class ErrorReference
{
    public static string Markdown()
    {
        StringBuilder text = new(
            """
            # Errors

            Everything Berth refuses, generated from the program's own table. Over HTTP a refusal is a problem
            document (RFC 9457, `application/problem+json`). Programs decide by its `code`, which does not change;
            `detail` is for people and names the thing, its value and what to do:

            ```json
            {
              "type": "urn:berth:error:invalid_request",
              "title": "The request is not valid",
              "status": 400,
              "detail": "The header Berth-Memory = 'lots' can't be used: expected 4 MiB to 64 GiB …",
              "code": "invalid_request"
            }
            ```

            Where a run failed, `runId`, `exitCode`, `stderr` (the end of the program's standard error) and `usage`
            are there too. 429 and some 503 come with `Retry-After`. The registry under `/v2` answers in the form of
            its own specification instead. The command line prints the `detail` and ends with the
            [exit code](exit-codes.md).

            | Code | Status | Exit code | When | What to do |
            |---|--:|--:|---|---|

            """);
        foreach (ErrorEntry entry in ErrorCatalog.All.OrderBy(e => e.Code, StringComparer.Ordinal))
        {
            ErrorExplanation words = ErrorExplanations.Find(entry.Error);
            text.Append($"| `{entry.Code}` | {entry.Status} | {entry.ExitCode} | {words.Meaning} | {words.Remedy} |\n");
        }

        return text.ToString();
    }
}
