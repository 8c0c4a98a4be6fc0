using System.CommandLine;
using Berth.Api.Functions;
using Berth.Commands.Runs;

namespace Berth.Commands.Functions;

/// <summary>The options about calls that nobody waits for.</summary>
internal sealed class RetrySettings
{
    private readonly Option<string?> attempts = Named(
        "--attempts", "N", "How many times a call that nobody waits for is tried at most (default 4)");

    private readonly Option<bool> retryFailures = new("--retry-failures")
    {
        Description = "Try such a call again after the program's own failure too",
    };

    private readonly Option<string?> retryOn = Named(
        "--retry-on", "ENDS",
        "Try it again after these ends alone, for instance exit=75,signal or, with http, no-answer,5xx,429; or none");

    private readonly Option<string?> retryDelay = Named(
        "--retry-delay", "TIME",
        "Before the second attempt, at most; doubled with each (default 200ms). Retry-After comes on top");

    private readonly Option<string?> retryMaxDelay = Named(
        "--retry-max-delay", "TIME", "What that is doubled up to (default 30s)");

    private readonly Option<string?> maxAge = Named(
        "--max-age", "TIME", "Give up on such a call when no attempt began in this time");

    private readonly Option<string?> onSuccess = Named(
        "--on-success", "FUNCTION|URL", "Hand the result of such a call on to this function, or tell this address");

    private readonly Option<string?> onFailure = Named(
        "--on-failure", "FUNCTION|URL", "The same of its record when it has failed");

    public void AddTo(Command command)
    {
        foreach (Option option in (Option[])[
            attempts, retryFailures, retryOn, retryDelay, retryMaxDelay, maxAge, onSuccess, onFailure])
        {
            command.Add(option);
        }
    }

    public FunctionRequest Add(Session session, FunctionRequest request) => request with
    {
        Attempts = RunSettings.Parse(session, attempts, RunSettings.ParseCount),
        RetryFailures = session.Get(retryFailures),
        RetryOn = session.Get(retryOn),
        RetryDelay = session.Get(retryDelay),
        RetryMaxDelay = session.Get(retryMaxDelay),
        MaxAge = session.Get(maxAge),
        OnSuccess = session.Get(onSuccess),
        OnFailure = session.Get(onFailure),
    };

    private static Option<string?> Named(string name, string value, string description) =>
        new(name) { HelpName = value, Description = description };
}
