using Berth.Core.Runs;

namespace Berth.Server.Results;

/// <summary>What a run that succeeded wrote.</summary>
/// <param name="Run">Whose it is.</param>
internal sealed record KeptResult(RunId Run, string ContentType, HeldBytes Output);
