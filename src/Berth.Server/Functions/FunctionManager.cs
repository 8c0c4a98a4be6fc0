using System.Collections.Concurrent;
using Berth.Api.Nodes;
using Berth.Core.Errors;
using Berth.Core.Functions;
using Berth.Core.Images;
using Berth.Server.Runs;
using Berth.Server.Store;

namespace Berth.Server.Functions;

/// <summary>A function as this server knows it now.</summary>
/// <param name="Places">Those of its newest revision; null where it has no limit of its own.</param>
internal sealed record FunctionEntry(Function Record, RunPlaces? Places);

/// <summary>All functions, in memory for calls and durable for the next start. Changes are made one after the other;
/// a call sees the state from before one or from after it.</summary>
internal sealed class FunctionManager(IFunctionStore store, INode node, TimeProvider time)
{
    private readonly ConcurrentDictionary<string, FunctionEntry> entries = new(StringComparer.Ordinal);
    private readonly SemaphoreSlim changing = new(1);

    /// <summary>By name.</summary>
    public IReadOnlyList<FunctionEntry> All => [.. entries.Values.OrderBy(e => e.Record.Name, StringComparer.Ordinal)];

    /// <summary>What the revisions run, which must stay for as long as they are kept.</summary>
    public IReadOnlyCollection<Digest> Images() =>
        [.. entries.Values.SelectMany(e => e.Record.Revisions).Select(r => r.Spec.Run.Digest).Distinct()];

    public async Task StartAsync(CancellationToken cancellationToken)
    {
        foreach (Function function in await store.AllFunctionsAsync(cancellationToken))
        {
            entries[function.Name] = new FunctionEntry(function, PlacesOf(function.Newest.Spec));
        }
    }

    /// <summary>Throws <c>NotFound</c>.</summary>
    public FunctionEntry Get(string name) => entries.TryGetValue(name, out FunctionEntry? entry)
        ? entry
        : throw new BerthException(
            ErrorCode.NotFound, $"There is no function '{Shown(name)}': 'berth function ls' lists them.");

    /// <summary>Makes the function, or its next revision where its settings differ from the newest one's.</summary>
    /// <param name="percent">Of its calls for the new revision.</param>
    /// <param name="tag">A name for it; null for none.</param>
    /// <returns>The function afterwards, and whether it is another than before.</returns>
    public Task<(FunctionEntry Entry, bool Changed)> DeployAsync(
        string name, FunctionSpec spec, int percent, string? tag, string caller, CancellationToken cancellationToken) =>
        ApplyAsync(
            name,
            old =>
            {
                DateTimeOffset now = time.GetUtcNow();
                if (old is null)
                {
                    return FunctionSteps.Share(FunctionSteps.Create(name, spec, caller, now), 1, percent, tag);
                }

                bool same = FunctionDocument.Write(spec).AsSpan().SequenceEqual(
                    FunctionDocument.Write(old.Newest.Spec));
                return !same ? FunctionSteps.Deploy(old, spec, percent, tag, caller, now)
                    : FunctionSteps.Share(old, old.Newest.Number, percent, tag);
            },
            cancellationToken);

    /// <summary>Throws <c>NotFound</c>, and what <paramref name="step"/> throws.</summary>
    public async Task<FunctionEntry> ChangeAsync(
        string name, Func<Function, Function> step, CancellationToken cancellationToken) =>
        (await ApplyAsync(name, old => step(old ?? Get(name).Record), cancellationToken)).Entry;

    /// <summary>Calls under way go on. Throws <c>NotFound</c>.</summary>
    public async Task RemoveAsync(string name, CancellationToken cancellationToken)
    {
        await changing.WaitAsync(cancellationToken);
        try
        {
            Get(name);
            await store.DeleteFunctionAsync(name, cancellationToken);
            entries.TryRemove(name, out _);
        }
        finally
        {
            changing.Release();
        }
    }

    private async Task<(FunctionEntry Entry, bool Changed)> ApplyAsync(
        string name, Func<Function?, Function> step, CancellationToken cancellationToken)
    {
        await changing.WaitAsync(cancellationToken);
        try
        {
            FunctionEntry? old = entries.GetValueOrDefault(name);
            Function next = step(old?.Record);
            if (old is not null && ReferenceEquals(next, old.Record))
            {
                return (old, false);
            }

            await store.PutAsync(next, cancellationToken);
            // Its places stay, with who is in them, while their number does.
            FunctionSpec spec = next.Newest.Spec;
            bool placed = old is not null && old.Record.Newest.Spec is { } was
                && (was.MaxRunning, was.MaxWaiting) == (spec.MaxRunning, spec.MaxWaiting);
            FunctionEntry entry = new(next, placed ? old!.Places : PlacesOf(spec));
            entries[name] = entry;
            // The first call finds a sandbox ready.
            node.Expect(RunRooms.Shape(spec.Run));
            return (entry, true);
        }
        finally
        {
            changing.Release();
        }
    }

    private static RunPlaces? PlacesOf(FunctionSpec spec) => spec.MaxRunning == 0 ? null
        : new RunPlaces(spec.MaxRunning, spec.MaxWaiting, "the function's max-running or max-waiting");

    private static string Shown(string name) => name.Length > FunctionName.MaxLength
        ? name[..FunctionName.MaxLength] + "…"
        : name;
}
