using System.Globalization;
using Berth.Server.Calls;
using Microsoft.AspNetCore.Http;

namespace Berth.Server.FunctionEndpoints;

/// <summary>What OpenFaaS's callers find in an answer beside its body.</summary>
internal static class OpenFaasAnswer
{
    private const string Call = "X-Call-Id";
    private const string Seconds = "X-Duration-Seconds";

    /// <param name="id">Of the call; null for its run's.</param>
    public static void Describe(HttpResponse response, string? id, TimeProvider time)
    {
        long begun = time.GetTimestamp();
        response.OnStarting(() =>
        {
            response.Headers[Call] = id ?? response.Headers[RunAnswer.RunId];
            response.Headers[Seconds] = string.Create(
                CultureInfo.InvariantCulture, $"{time.GetElapsedTime(begun).TotalSeconds:0.000000}");
            return Task.CompletedTask;
        });
    }
}
