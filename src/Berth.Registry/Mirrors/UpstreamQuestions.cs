using System.Collections.Concurrent;
using Berth.Core.Errors;
using Microsoft.Extensions.Logging;

namespace Berth.Registry.Mirrors;

/// <summary>
/// Asks upstream about a name at most once a minute, once for all who ask at the time, and takes what is here where
/// that fails.
/// </summary>
/// <param name="stopping">Ends what is being asked; its failure is told then.</param>
internal sealed class UpstreamQuestions<T>(TimeProvider time, ILogger logger, CancellationToken stopping)
    where T : class
{
    // Names nobody asks for again would gather without end.
    private const int MostFresh = 100_000;

    private static readonly TimeSpan FreshFor = TimeSpan.FromMinutes(1);

    /// <summary>How long upstream may take while there is something to serve in its place.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);

    private readonly ConcurrentDictionary<string, Lazy<Task<T?>>> asking = new();
    private readonly ConcurrentDictionary<string, long> fresh = new();

    /// <summary>Whether upstream was asked, or failed, so lately that it is left alone.</summary>
    public bool IsFresh(string repository, string reference) =>
        fresh.TryGetValue(NameOf(repository, reference), out long at) && time.GetElapsedTime(at) < FreshFor;

    /// <summary>What upstream says now, or what is here where it fails. Goes on though whoever asked leaves.</summary>
    /// <param name="here">Null for nothing: then upstream's failure is the caller's.</param>
    /// <param name="ask">The request.</param>
    public Task<T?> AskAsync(
        string repository, string reference, UpstreamRepository upstream, T? here,
        Func<CancellationToken, Task<T?>> ask, CancellationToken cancellationToken)
    {
        Lazy<Task<T?>> asked = asking.GetOrAdd(
            NameOf(repository, reference),
            _ => new(() => AskAsync(repository, reference, upstream, here, ask)));
        return asked.Value.WaitAsync(cancellationToken);
    }

    private static string NameOf(string repository, string reference) => $"{repository} {reference}";

    private async Task<T?> AskAsync(
        string repository, string reference, UpstreamRepository upstream, T? here,
        Func<CancellationToken, Task<T?>> ask)
    {
        await Task.Yield();
        using CancellationTokenSource late = new(here is null ? Timeout.InfiniteTimeSpan : Patience, time);
        using CancellationTokenSource either = CancellationTokenSource.CreateLinkedTokenSource(late.Token, stopping);
        try
        {
            T? found = await ask(either.Token);
            NoteFresh(repository, reference);
            return found;
        }
        catch (Exception e) when (
            here is not null && e is BerthException or OperationCanceledException && !stopping.IsCancellationRequested)
        {
            // Not asked again for a while either: everybody would wait for it each time.
            Log.UpstreamFailed(logger, upstream.Upstream.Url, repository, reference, e.Message);
            NoteFresh(repository, reference);
            return here;
        }
        finally
        {
            asking.TryRemove(NameOf(repository, reference), out _);
        }
    }

    private void NoteFresh(string repository, string reference)
    {
        if (fresh.Count > MostFresh)
        {
            fresh.Clear();
        }

        fresh[NameOf(repository, reference)] = time.GetTimestamp();
    }
}
