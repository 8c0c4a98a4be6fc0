using System.Globalization;
using Berth.Api.Functions;
using Berth.Core.Callbacks;
using Berth.Core.Resources;
using Berth.Core.Runs;
using Berth.Server.Calls;

namespace Berth.Server.FunctionEndpoints;

/// <summary>The part of a function's request that is about calls that nobody waits for, there and back.</summary>
internal static class RetryOrder
{
    private static readonly TimeSpan LeastDelay = TimeSpan.FromMilliseconds(1);

    public static RetryPolicy Read(FunctionRequest request, bool service)
    {
        int attempts = ProgramRules.Number(
            new Asked("attempts", request.Attempts?.ToString(CultureInfo.InvariantCulture)), 1, RunRequest.MaxAttempts,
            null) ?? RetryPolicy.Default.MaxAttempts;
        TimeSpan most = Delay("retryMaxDelay", request.RetryMaxDelay) ?? RetryPolicy.UsualMaxDelay;
        TimeSpan first = Delay("retryDelay", request.RetryDelay)
            ?? (RetryPolicy.UsualBaseDelay < most ? RetryPolicy.UsualBaseDelay : most);
        return first > most
            ? throw new Asked("retryDelay", Duration.Format(first)).Refuse(
                $"the longest is {Duration.Format(most)}: raise retryMaxDelay")
            : new RetryPolicy(attempts, request.RetryFailures)
            {
                BaseDelay = first,
                MaxDelay = most,
                On = Rules(request, service),
            };
    }

    public static TimeSpan? MaxAge(FunctionRequest request) =>
        ProgramRules.Time(new Asked("maxAge", request.MaxAge), RunRequest.LeastTime, RunRequest.MostAge, null);

    /// <summary>Where the ends of such calls go.</summary>
    public static RunSpec WithDestinations(RunSpec run, FunctionRequest request, CallbackPolicy callbacks) => run with
    {
        OnSuccess = DestinationOf("onSuccess", request.OnSuccess, callbacks),
        OnFailure = DestinationOf("onFailure", request.OnFailure, callbacks),
    };

    private static Destination? DestinationOf(string member, string? text, CallbackPolicy callbacks)
    {
        if (text is null)
        {
            return null;
        }

        if (!Destination.TryParse(text, out Destination? destination))
        {
            throw new Asked(member, text).Refuse(
                "expected the name of a function, or an http or https address without user name and fragment");
        }

        if (destination.Address is { } address)
        {
            callbacks.Check(address);
        }

        return destination;
    }

    /// <summary>A request that would lead to the same.</summary>
    /// <param name="request">All but this part.</param>
    public static FunctionRequest Write(RunSpec run, FunctionRequest request) => request with
    {
        Attempts = run.Retry.MaxAttempts,
        RetryFailures = run.Retry.OnProgramFailure,
        RetryOn = run.Retry.On?.Text,
        OnSuccess = run.OnSuccess?.Text,
        OnFailure = run.OnFailure?.Text,
        RetryDelay = Duration.Format(run.Retry.BaseDelay),
        RetryMaxDelay = Duration.Format(run.Retry.MaxDelay),
        MaxAge = run.MaxAge is { } age ? Duration.Format(age) : null,
    };

    /// <summary>What everybody may know who may call it.</summary>
    public static RetryView View(RunSpec run) => new(
        run.Retry.MaxAttempts, run.Retry.On?.Text, Duration.Format(run.Retry.BaseDelay),
        Duration.Format(run.Retry.MaxDelay), run.MaxAge is { } age ? Duration.Format(age) : null);

    private static RetryRules? Rules(FunctionRequest request, bool service)
    {
        if (request.RetryOn is not { } text)
        {
            return null;
        }

        Asked asked = new("retryOn", text);
        return request.RetryFailures
            ? throw asked.Refuse("retryFailures is given too, and this says all: leave that away")
            : RetryRules.TryParse(text, service, out RetryRules? rules)
                ? rules
                : throw asked.Refuse($"expected words with commas between, of {RetryRules.Choices(service)}");
    }

    private static TimeSpan? Delay(string member, string? text) =>
        ProgramRules.Time(new Asked(member, text), LeastDelay, RetryPolicy.LongestDelay, null);
}
