namespace Berth.Server.Calls;

/// <summary>When a call's answer begins: the header <c>Berth-Stream</c>.</summary>
internal enum AnswerStart
{
    /// <summary>When the program has ended, or its output outgrows the first buffer.</summary>
    Held,

    /// <summary>With the first byte of output.</summary>
    FirstByte,

    /// <summary>With the program, so that its caller knows the run's id meanwhile.</summary>
    Program,
}
