namespace Berth.Server.Runs;

/// <summary>The places that one call needs, taken in order: of its kind where there are such, then the server's.
/// </summary>
/// <param name="caller">Whose turn it is where it has to wait.</param>
internal sealed class CallPlace(string caller, RunPlaces? own, RunPlaces places)
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
            await line.TakeForCallAsync(caller, cancellationToken);
            taken++;
        }
    }

    /// <summary>Gives back what was taken; called once.</summary>
    public void Release()
    {
        for (int i = 0; i < taken; i++)
        {
            lines[i].Release();
        }
    }
}
