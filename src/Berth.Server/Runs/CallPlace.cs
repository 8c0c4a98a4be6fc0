namespace Berth.Server.Runs;

/// <summary>The places that one call needs, taken in order: of its kind where there are such, then the server's.
/// </summary>
/// <param name="function">Whose call it is; null for a call by image.</param>
/// <param name="caller">Whose turn it is where it has to wait.</param>
internal sealed class CallPlace(string? function, string caller, RunPlaces? own, RunPlaces places)
{
    private readonly RunPlaces[] lines = own is null ? [places] : [own, places];
    private int taken;

    /// <summary>The line that it stands in; null once it has all it needs.</summary>
    public RunPlaces? WaitsFor => taken < lines.Length ? lines[taken] : null;

    /// <summary>Throws <c>QueueFull</c> where too many wait already. What was taken by then is kept until
    /// <see cref="Release"/>.</summary>
    public async Task TakeAsync(CancellationToken cancellationToken)
    {
        while (WaitsFor is { } line)
        {
            await line.TakeForCallAsync(FunctionIn(line), caller, cancellationToken);
            taken++;
        }
    }

    /// <summary>Gives back what was taken; called once.</summary>
    public void Release()
    {
        for (int i = 0; i < taken; i++)
        {
            lines[i].Release(FunctionIn(lines[i]));
        }
    }

    /// <summary>In places of its own kind a function is alone.</summary>
    private string? FunctionIn(RunPlaces line) => line == places ? function : null;
}
